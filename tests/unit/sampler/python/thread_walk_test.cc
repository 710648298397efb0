#include "sampler/python/thread_walk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/sampler/python/fake_python.h"

namespace whyslow {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

struct Scene {
  explicit Scene(uint32_t version) : python(FakePython::OfVersion(version)) {}

  FakePython python;
  PythonObjects objects{python.memory, python.layout};
  uint64_t interpreter = python.AddInterpreter();

  // One thread with this frame, as it is read from outside.
  PythonThread ThreadAt(uint64_t frame) {
    python.AddThread(interpreter, 0x7000, frame);
    return ListPythonThreads(objects).front();
  }

  PythonWalkFault Check(const PythonThread& thread, const PythonWalk& walk) const {
    return CheckPythonWalk(objects, RuntimeAddress(python.code_type), thread, walk);
  }
};

std::vector<uint64_t> CodesOf(const PythonWalk& walk) {
  std::vector<uint64_t> codes;
  for (const python_raw_frame& frame : walk.frames) {
    codes.push_back(frame.code);
  }
  return codes;
}

std::vector<uint32_t> EntriesOf(const PythonWalk& walk) {
  std::vector<uint32_t> entries;
  for (const python_raw_frame& frame : walk.frames) {
    entries.push_back(frame.is_entry);
  }
  return entries;
}

TEST(PythonThreads, ThoseOfAllInterpretersAreListed) {
  Scene scene(0x030c01f0);
  const uint64_t other = scene.python.AddInterpreter();
  scene.python.AddThread(scene.interpreter, 1, 0, 11);
  scene.python.AddThread(other, 2, 0x1234, 12);
  scene.python.AddThread(other, 3, 0, 13);

  const std::vector<PythonThread> threads = ListPythonThreads(scene.objects);

  ASSERT_THAT(threads, SizeIs(3));
  EXPECT_EQ(threads[0].pthread, 3U);
  EXPECT_EQ(threads[0].native_id, 13U);
  EXPECT_EQ(threads[1].frame, RuntimeAddress(0x1234));
  EXPECT_EQ(threads[1].interpreter, RuntimeAddress(other));
  EXPECT_EQ(threads[1].owner, RuntimeAddress(other));
  EXPECT_EQ(threads[2].interpreter, RuntimeAddress(scene.interpreter));
}

TEST(PythonThreads, ListsThatGoRoundEnd) {
  Scene scene(0x030912f0);
  const uint64_t thread = scene.python.AddThread(scene.interpreter, 1, 0);
  scene.python.memory.PutValue(thread + scene.python.layout.walk.thread_next, thread);
  scene.python.memory.PutValue(scene.interpreter + scene.python.layout.walk.interpreter_next,
                               scene.interpreter);

  EXPECT_LE(ListPythonThreads(scene.objects).size(), 4U);
}

TEST(PythonThreads, ListsHaveAnEnd) {
  Scene scene(0x030912f0);
  for (int i = 0; i < 16'400; ++i) {
    scene.python.AddThread(scene.interpreter, 1, 0);
  }

  EXPECT_THAT(ListPythonThreads(scene.objects), SizeIs(16384));
}

TEST(PythonThreads, WhatIsNotThereEndsTheList) {
  Scene scene(0x030912f0);
  const uint64_t thread = scene.python.AddThread(scene.interpreter, 1, 0);
  scene.python.memory.PutValue(thread + scene.python.layout.walk.thread_next, uint64_t{8});

  EXPECT_THAT(ListPythonThreads(scene.objects), SizeIs(1));
}

TEST(PythonThreads, AnotherThreadsStateIsNotTheSame) {
  Scene scene(0x030b02f0);
  const PythonThread thread = scene.ThreadAt(0);
  EXPECT_TRUE(ReadPythonThreadAgain(scene.objects, thread).has_value());
  scene.python.memory.PutValue(thread.state.value() + scene.python.layout.walk.thread_id,
                               uint64_t{0x8000});

  EXPECT_FALSE(ReadPythonThreadAgain(scene.objects, thread).has_value());
}

TEST(PythonWalk, FrameObjectsAreAllEntries) {
  Scene scene(0x030912f0);
  const uint64_t outer = scene.python.AddCode({.name = "outer"});
  const uint64_t inner = scene.python.AddCode({.name = "inner"});
  const uint64_t root = scene.python.AddFrame(outer, 0);
  const PythonThread thread = scene.ThreadAt(scene.python.AddFrame(inner, root));

  const PythonWalk walk = WalkPythonThread(scene.objects, thread);

  EXPECT_THAT(CodesOf(walk), ElementsAre(inner, outer));
  EXPECT_THAT(EntriesOf(walk), ElementsAre(1, 1));
  EXPECT_EQ(walk.frames[0].instruction, 2U);
  EXPECT_EQ(walk.frames[0].check, scene.python.CheckOf(inner));
  EXPECT_EQ(walk.end, PythonWalkEnd::kRoot);
  EXPECT_EQ(scene.Check(thread, walk), PythonWalkFault::kNone);
}

TEST(PythonWalk, A311FrameSaysWhetherItIsAnEntry) {
  Scene scene(0x030b02f0);
  const uint64_t code = scene.python.AddCode({});
  uint64_t frame = scene.python.AddFrame(code, 0, 1);
  frame = scene.python.AddFrame(code, frame, 0);
  frame = scene.python.AddFrame(code, frame, 1);
  const PythonThread thread = scene.ThreadAt(scene.python.AddFrame(code, frame, 0));

  const PythonWalk walk = WalkPythonThread(scene.objects, thread);

  EXPECT_THAT(EntriesOf(walk), ElementsAre(0, 1, 0, 1));
  EXPECT_EQ(scene.Check(thread, walk), PythonWalkFault::kNone);
}

TEST(PythonWalk, From312OnTheInterpretersOwnFramesMarkEntriesAndAreNotShown) {
  for (const uint32_t version : {0x030c01f0U, 0x030e0af0U}) {
    Scene scene(version);
    const uint64_t code = scene.python.AddCode({});
    uint64_t frame = scene.python.AddFrame(0x99, 0, 3);
    frame = scene.python.AddFrame(0x99, frame, 4);
    frame = scene.python.AddFrame(code, frame, 0);
    frame = scene.python.AddFrame(0x99, frame, 3);
    frame = scene.python.AddFrame(code, frame, 0);
    const PythonThread thread = scene.ThreadAt(scene.python.AddFrame(code, frame, 1));

    const PythonWalk walk = WalkPythonThread(scene.objects, thread);

    EXPECT_THAT(EntriesOf(walk), ElementsAre(0, 1, 1));
    EXPECT_EQ(walk.end, PythonWalkEnd::kRoot);
    EXPECT_THAT(walk.steps, SizeIs(6));
    EXPECT_EQ(scene.Check(thread, walk), PythonWalkFault::kNone);
  }
}

TEST(PythonWalk, MarksInTheCodePointerAreNoPartOfTheAddress) {
  Scene scene(0x030e0af0);
  const uint64_t code = scene.python.AddCode({});
  const uint64_t frame = scene.python.AddFrame(code, 0);
  scene.python.memory.PutValue(frame + scene.python.layout.walk.frame_code, code | 1);
  const PythonThread thread = scene.ThreadAt(frame);

  const PythonWalk walk = WalkPythonThread(scene.objects, thread);

  EXPECT_THAT(CodesOf(walk), ElementsAre(code));
  EXPECT_EQ(scene.Check(thread, walk), PythonWalkFault::kNone);
}

TEST(PythonWalk, AThreadWithoutFramesIsAtItsEnd) {
  Scene scene(0x030b02f0);
  const PythonThread thread = scene.ThreadAt(0);

  const PythonWalk walk = WalkPythonThread(scene.objects, thread);

  EXPECT_THAT(walk.frames, IsEmpty());
  EXPECT_EQ(walk.end, PythonWalkEnd::kRoot);
  EXPECT_EQ(scene.Check(thread, walk), PythonWalkFault::kNone);
}

TEST(PythonWalk, AFrameThatCannotBeReadBreaksTheWalk) {
  Scene scene(0x030912f0);
  const uint64_t code = scene.python.AddCode({});
  const PythonThread thread = scene.ThreadAt(scene.python.AddFrame(code, 0x10));

  const PythonWalk walk = WalkPythonThread(scene.objects, thread);

  EXPECT_THAT(walk.frames, SizeIs(1));
  EXPECT_EQ(walk.end, PythonWalkEnd::kBroken);
  EXPECT_EQ(scene.Check(thread, walk), PythonWalkFault::kNotEnded);
}

TEST(PythonWalk, AChainThatGoesRoundIsNoStack) {
  for (const uint8_t owner : {uint8_t{0}, uint8_t{3}}) {
    Scene scene(0x030c01f0);
    const uint64_t code = scene.python.AddCode({});
    const uint64_t frame = scene.python.AddFrame(code, 0, owner);
    uint64_t leaf = frame;
    for (int i = 0; i < 10; ++i) {
      leaf = scene.python.AddFrame(code, leaf, owner);
    }
    scene.python.memory.PutValue(frame + scene.python.layout.walk.frame_previous, leaf);
    const PythonThread thread = scene.ThreadAt(leaf);

    const PythonWalk walk = WalkPythonThread(scene.objects, thread);

    EXPECT_LE(walk.steps.size(), 40U);
    EXPECT_EQ(walk.end, PythonWalkEnd::kLoop);
    EXPECT_EQ(scene.Check(thread, walk), PythonWalkFault::kFrameTwice);
  }
}

TEST(PythonWalk, ADeepStackIsCut) {
  Scene scene(0x030c01f0);
  const uint64_t code = scene.python.AddCode({});
  uint64_t frame = 0;
  for (int i = 0; i < PYTHON_MOST_FRAMES + 10; ++i) {
    frame = scene.python.AddFrame(code, frame);
  }
  const PythonThread thread = scene.ThreadAt(frame);

  const PythonWalk walk = WalkPythonThread(scene.objects, thread);

  EXPECT_THAT(walk.frames, SizeIs(PYTHON_MOST_FRAMES));
  EXPECT_EQ(walk.end, PythonWalkEnd::kTooDeep);
  EXPECT_EQ(scene.Check(thread, walk), PythonWalkFault::kNone);
}

class CheckedWalk : public ::testing::Test {
 protected:
  Scene scene_{0x030b02f0};
  uint64_t code_ = scene_.python.AddCode({.units = 10});
  uint64_t root_ = scene_.python.AddFrame(code_, 0, 1);
  uint64_t leaf_ = scene_.python.AddFrame(code_, root_, 0);
  PythonThread thread_ = scene_.ThreadAt(leaf_);

  PythonWalkFault WalkAndCheck() {
    return scene_.Check(thread_, WalkPythonThread(scene_.objects, thread_));
  }
  void PutInstruction(uint64_t frame, int64_t number) {
    scene_.python.memory.PutValue(frame + scene_.python.layout.walk.frame_instruction,
                                  scene_.python.Instruction(code_, number));
  }
};

TEST_F(CheckedWalk, AStackThatHoldsStillHasNoFault) {
  EXPECT_EQ(WalkAndCheck(), PythonWalkFault::kNone);
}

TEST_F(CheckedWalk, AnotherFrameOfTheThreadIsAChange) {
  const PythonWalk walk = WalkPythonThread(scene_.objects, thread_);
  scene_.python.SetFrame(thread_.state.value(), root_);

  EXPECT_EQ(scene_.Check(thread_, walk), PythonWalkFault::kChanged);
}

TEST_F(CheckedWalk, OtherCodeInTheTopFrameIsAChange) {
  const PythonWalk walk = WalkPythonThread(scene_.objects, thread_);
  scene_.python.memory.PutValue(leaf_ + scene_.python.layout.walk.frame_code,
                                scene_.python.AddCode({}));

  EXPECT_EQ(scene_.Check(thread_, walk), PythonWalkFault::kChanged);
}

TEST_F(CheckedWalk, TheNextInstructionOfTheTopFrameIsNoChange) {
  const PythonWalk walk = WalkPythonThread(scene_.objects, thread_);
  PutInstruction(leaf_, 7);

  EXPECT_EQ(scene_.Check(thread_, walk), PythonWalkFault::kNone);
}

TEST_F(CheckedWalk, AFrameMustNotComeTwice) {
  PythonWalk walk = WalkPythonThread(scene_.objects, thread_);
  walk.steps.push_back(walk.steps.front());

  EXPECT_EQ(scene_.Check(thread_, walk), PythonWalkFault::kFrameTwice);
}

TEST_F(CheckedWalk, CodeMustBeOfTheCodeType) {
  scene_.python.memory.PutValue(code_ + scene_.python.layout.object_type, scene_.python.text_type);

  EXPECT_EQ(WalkAndCheck(), PythonWalkFault::kNoCode);
}

TEST_F(CheckedWalk, TheInstructionMustLieInTheCode) {
  PutInstruction(root_, -1);
  EXPECT_EQ(WalkAndCheck(), PythonWalkFault::kNone);
  PutInstruction(root_, 9);
  EXPECT_EQ(WalkAndCheck(), PythonWalkFault::kNone);
  PutInstruction(root_, 10);
  EXPECT_EQ(WalkAndCheck(), PythonWalkFault::kOutsideCode);
  PutInstruction(root_, -2);
  EXPECT_EQ(WalkAndCheck(), PythonWalkFault::kOutsideCode);
}

TEST(PythonWalk, NumberedInstructionsMustLieInTheCodeToo) {
  for (const uint32_t version : {0x030912f0U, 0x030a0df0U}) {
    Scene scene(version);
    const uint64_t code = scene.python.AddCode({.units = 10});
    const uint64_t frame = scene.python.AddFrame(code, 0);
    const PythonThread thread = scene.ThreadAt(frame);
    const auto fault_at = [&](int64_t number) {
      scene.python.memory.PutValue(frame + scene.python.layout.walk.frame_instruction,
                                   static_cast<uint32_t>(scene.python.Instruction(code, number)));
      return scene.Check(thread, WalkPythonThread(scene.objects, thread));
    };

    EXPECT_EQ(fault_at(-1), PythonWalkFault::kNone);
    EXPECT_EQ(fault_at(9), PythonWalkFault::kNone);
    EXPECT_EQ(fault_at(10), PythonWalkFault::kOutsideCode);
    EXPECT_EQ(fault_at(-2), PythonWalkFault::kOutsideCode);
  }
}

}  // namespace
}  // namespace whyslow
