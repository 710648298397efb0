#include "profile/leave_out.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "profile/profile_builder.h"

namespace whyslow {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class LeaveOutTest : public ::testing::Test {
 protected:
  LeaveOutTest() { builder_.SetValueTypes({{"cpu_samples", "count"}}); }

  void Add(std::initializer_list<std::string_view> leaf_first) {
    const ModuleIndex module = builder_.AddModule({.path = builder_.AddString("/bin/x")});
    std::vector<LocationIndex> frames;
    for (const std::string_view name : leaf_first) {
      frames.push_back(builder_.AddNamedLocation(
          module, builder_.AddFunction({.name = builder_.AddString(name)}), 0));
    }
    const int64_t one = 1;
    builder_.AddSample(builder_.AddStack(frames), LabelSetIndex(), {&one, 1});
  }

  static std::vector<std::string> NamesOf(const Profile& profile, size_t sample) {
    std::vector<LocationIndex> frames;
    AppendLocations(profile, profile.samples[sample].stack, frames);
    std::vector<std::string> names;
    for (const LocationIndex frame : frames) {
      const Function& function = profile.FunctionAt(profile.LocationAt(frame).lines[0].function);
      names.emplace_back(profile.Text(function.name));
    }
    return names;
  }

  ProfileBuilder builder_;
};

TEST_F(LeaveOutTest, CallersCallWhatItCalled) {
  Add({"leaf", "loop", "middle", "loop", "main"});
  Add({"loop", "main"});
  Add({"loop"});
  Add({"other", "main"});
  Profile profile = std::move(builder_).Build();

  LeaveOut(profile, "loop");

  EXPECT_THAT(NamesOf(profile, 0), ElementsAre("leaf", "middle", "main"));
  EXPECT_THAT(NamesOf(profile, 1), ElementsAre("main"));
  EXPECT_THAT(NamesOf(profile, 2), IsEmpty());
  EXPECT_THAT(NamesOf(profile, 3), ElementsAre("other", "main"));
}

TEST_F(LeaveOutTest, WhatIsNotThereChangesNothing) {
  Add({"leaf", "main"});
  Profile profile = std::move(builder_).Build();

  LeaveOut(profile, "loop");

  EXPECT_THAT(NamesOf(profile, 0), ElementsAre("leaf", "main"));
}

}  // namespace
}  // namespace whyslow
