#include "profile/profile_builder.h"

#include <gtest/gtest.h>

#include <limits>

namespace whyslow {
namespace {

class ProfileBuilderTest : public testing::Test {
 protected:
  ProfileBuilderTest() { builder_.SetValueTypes({{"cpu", "nanoseconds"}}); }

  ModuleIndex File(std::string_view path) {
    return builder_.AddModule({.path = builder_.AddString(path)});
  }
  FunctionIndex Named(std::string_view name) {
    return builder_.AddFunction({.name = builder_.AddString(name)});
  }

  ProfileBuilder builder_;
};

TEST_F(ProfileBuilderTest, EqualRowsAreStoredOnce) {
  EXPECT_EQ(builder_.AddString("a"), builder_.AddString("a"));
  EXPECT_EQ(File("/bin/a"), File("/bin/a"));
  EXPECT_EQ(Named("f"), Named("f"));
  EXPECT_EQ(builder_.AddLocation(File("/bin/a"), 1), builder_.AddLocation(File("/bin/a"), 1));
  EXPECT_NE(builder_.AddLocation(File("/bin/a"), 1), builder_.AddLocation(File("/bin/b"), 1));
  EXPECT_EQ(builder_.AddNote("[truncated: x]"), builder_.AddNote("[truncated: x]"));
}

TEST_F(ProfileBuilderTest, TheEmptyStringIsRowZero) {
  EXPECT_EQ(builder_.AddString(""), kEmptyString);
}

TEST_F(ProfileBuilderTest, SamplesWithEqualStackAndLabelsAddUp) {
  const StackIndex stack = builder_.AddStack({{builder_.AddLocation(File("/bin/a"), 1)}});
  const Label label = builder_.TextLabel("thread", "worker");
  builder_.AddSample(stack, builder_.AddLabels({{label}}), {{3}});
  builder_.AddSample(stack, builder_.AddLabels({{label}}), {{4}});
  builder_.AddSample(stack, LabelSetIndex(), {{5}});
  const Profile profile = std::move(builder_).Build();

  ASSERT_EQ(profile.samples.size(), 2U);
  EXPECT_EQ(profile.ValuesOf(0)[0], 7);
  EXPECT_EQ(profile.ValuesOf(1)[0], 5);
}

TEST_F(ProfileBuilderTest, ValuesStopAtTheLargestNumberInsteadOfOverflowing) {
  builder_.AddSample(StackIndex(), LabelSetIndex(), {{std::numeric_limits<int64_t>::max()}});
  builder_.AddSample(StackIndex(), LabelSetIndex(), {{1}});

  EXPECT_EQ(builder_.profile().ValuesOf(0)[0], std::numeric_limits<int64_t>::max());
}

TEST_F(ProfileBuilderTest, AMergedSampleMeetsTheCapturedOneWithTheSameStack) {
  const LocationIndex python = builder_.AddNamedLocation(File("[python]"), Named("f"), 12);
  const LocationIndex native = builder_.AddLocation(File("/bin/a"), 0x10);
  builder_.AddSample(builder_.AddStack({{native, python}}), LabelSetIndex(), {{1}});
  const Profile other = builder_.profile();

  ASSERT_TRUE(MergeInto(builder_, other));

  const Profile profile = std::move(builder_).Build();
  EXPECT_EQ(profile.locations.size(), 2U);
  ASSERT_EQ(profile.samples.size(), 1U);
  EXPECT_EQ(profile.ValuesOf(0)[0], 2);
}

TEST_F(ProfileBuilderTest, ProfilesOfOtherValueTypesAreNotMerged) {
  ProfileBuilder other;
  other.SetValueTypes({{"cpu", "count"}});

  EXPECT_FALSE(MergeInto(builder_, other.profile()));
}

}  // namespace
}  // namespace whyslow
