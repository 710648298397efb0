#include "sampler/python_stacks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sampler/jit_processes.h"
#include "sampler/profile_writer.h"

namespace whyslow {
namespace {

using ::testing::ElementsAre;

constexpr Pid kProcess{7};
constexpr PythonStackId kStack{99};

class PythonStacksTest : public ::testing::Test {
 protected:
  // "inner", or "inner*": an entry.
  static PythonFrame Frame(std::string_view name) {
    PythonFrame frame{.line = 3};
    frame.is_entry = name.ends_with('*');
    name.remove_suffix(frame.is_entry ? 1 : 0);
    frame.function = std::make_shared<const PythonFunction>(
        PythonFunction{.name = std::string(name), .file = "app.py", .first_line = 1});
    return frame;
  }

  static PythonStack Stack(const std::vector<std::string_view>& leaf_first) {
    PythonStack stack{.pid = kProcess, .id = kStack};
    for (const std::string_view name : leaf_first) {
      stack.frames.push_back(Frame(name));
    }
    return stack;
  }

  // "loop": a frame of the interpreter's loop.
  std::vector<LocationIndex> Native(PythonStacks& python,
                                    const std::vector<std::string_view>& leaf_first) {
    std::vector<LocationIndex> frames;
    for (const std::string_view name : leaf_first) {
      if (name.starts_with('[')) {
        frames.push_back(writer_.AddNote(name));
        continue;
      }
      uint64_t& address = addresses_[std::string(name)];
      address = address == 0 ? 0x1000 * addresses_.size() : address;
      frames.push_back(writer_.AddKernelFrame(RuntimeAddress(address)));
      if (name == "loop") {
        python.MarkLoop(frames.back());
      }
    }
    return frames;
  }

  std::vector<std::string> Names(const std::vector<LocationIndex>& frames) const {
    std::vector<std::string> names;
    for (const LocationIndex frame : frames) {
      const Location& location = writer_.profile().LocationAt(frame);
      if (!location.lines.empty()) {
        const Function& function = writer_.profile().FunctionAt(location.lines[0].function);
        names.emplace_back(writer_.profile().Text(function.name));
        continue;
      }
      for (const auto& [name, address] : addresses_) {
        if (address == location.address) {
          names.push_back(name);
        }
      }
    }
    return names;
  }

  std::vector<std::string> Merged(const std::vector<std::string_view>& native,
                                  const std::vector<std::string_view>& python,
                                  bool keeps_loops = false, bool is_cut = false) {
    PythonStacks stacks(writer_, keeps_loops);
    PythonStack stack = Stack(python);
    stack.is_cut = is_cut;
    stacks.Add(stack);
    std::vector<LocationIndex> frames = Native(stacks, native);
    outcome_ = stacks.Merge(kProcess, kStack, frames);
    return Names(frames);
  }

  JitProcesses jit_{/*is_live=*/false};
  ProfileWriter writer_{jit_};
  std::map<std::string, uint64_t> addresses_;
  PythonStacks::Outcome outcome_ = PythonStacks::Outcome::kNone;
};

TEST_F(PythonStacksTest, EachLoopGetsTheFramesThatItRuns) {
  EXPECT_THAT(
      Merged({"sleep", "loop", "sorted", "loop", "main"}, {"inner", "middle*", "outer", "module*"}),
      ElementsAre("sleep", "inner", "middle", "sorted", "outer", "module", "main"));
  EXPECT_EQ(outcome_, PythonStacks::Outcome::kMerged);
}

TEST_F(PythonStacksTest, LoopsAreShownToThoseWhoAsk) {
  EXPECT_THAT(Merged({"sleep", "loop", "sorted", "loop", "main"}, {"inner*", "outer*"}, true),
              ElementsAre("sleep", "inner", "loop", "sorted", "outer", "loop", "main"));
}

TEST_F(PythonStacksTest, TheInnermostLoopMayHaveNoFrameYet) {
  EXPECT_THAT(Merged({"loop", "call", "loop", "main"}, {"caller*"}),
              ElementsAre("call", "caller", "main"));
  EXPECT_EQ(outcome_, PythonStacks::Outcome::kAtEdge);
}

TEST_F(PythonStacksTest, WhatTheNativeStackLacksIsAboveItsEnd) {
  EXPECT_THAT(
      Merged({"sleep", "loop", "call", "[truncated: stack copy ended]"}, {"a*", "b*", "c", "d*"}),
      ElementsAre("sleep", "a", "call", "[truncated: stack copy ended]", "b", "c", "d"));
  EXPECT_EQ(outcome_, PythonStacks::Outcome::kMerged);
}

TEST_F(PythonStacksTest, WhatPythonLacksIsSaid) {
  EXPECT_THAT(Merged({"sleep", "loop", "call", "loop", "main"}, {"a*"}, false, true),
              ElementsAre("sleep", "a", "call", "main", "[truncated: more Python frames]"));
}

TEST_F(PythonStacksTest, FramesThatFitNowhereStandTogether) {
  EXPECT_THAT(Merged({"sleep", "call", "main"}, {"a*", "b*"}),
              ElementsAre("sleep", "call", "main", "a", "b"));
  EXPECT_EQ(outcome_, PythonStacks::Outcome::kApart);
  EXPECT_THAT(Merged({"loop", "x", "loop", "y", "loop", "main"}, {"a*"}),
              ElementsAre("x", "y", "main", "a"));
  EXPECT_EQ(outcome_, PythonStacks::Outcome::kApart);
}

TEST_F(PythonStacksTest, AnUnknownNumberIsSaid) {
  PythonStacks stacks(writer_, false);
  std::vector<LocationIndex> frames = Native(stacks, {"sleep", "loop"});
  EXPECT_EQ(stacks.Merge(kProcess, kStack, frames), PythonStacks::Outcome::kApart);
  EXPECT_THAT(Names(frames), ElementsAre("sleep", "loop", "[truncated: Python frames lost]"));
  // Another process's stack of this number is another one.
  stacks.Add(Stack({"a*"}));
  frames = Native(stacks, {"sleep", "loop"});
  stacks.Merge(Pid{8}, kStack, frames);
  EXPECT_THAT(Names(frames), ElementsAre("sleep", "loop", "[truncated: Python frames lost]"));
  frames = Native(stacks, {"sleep", "loop"});
  EXPECT_EQ(stacks.Merge(kProcess, kNoPythonStack, frames), PythonStacks::Outcome::kNone);
  EXPECT_THAT(Names(frames), ElementsAre("sleep", "loop"));
}

TEST_F(PythonStacksTest, CodeThatIsGoneIsAFrameAllTheSame) {
  PythonStacks stacks(writer_, false);
  PythonStack stack = Stack({"a"});
  stack.frames.push_back({.function = nullptr, .is_entry = true});
  stacks.Add(stack);
  std::vector<LocationIndex> frames = Native(stacks, {"loop", "main"});
  stacks.Merge(kProcess, kStack, frames);
  EXPECT_THAT(Names(frames), ElementsAre("a", "[python: code is gone]", "main"));
}

}  // namespace
}  // namespace whyslow
