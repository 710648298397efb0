#include "profile/profile_filter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "profile/profile_builder.h"
#include "tests/support/sample_profiles.h"

namespace whyslow {
namespace {

using ::testing::ElementsAre;

ProfileFilter::MatchesText Is(std::string wanted) {
  return [wanted = std::move(wanted)](std::string_view text) { return text == wanted; };
}

class ProfileFilterTest : public ::testing::Test {
 protected:
  ProfileFilterTest() { builder_.SetValueTypes({{"samples", "count"}}); }

  LocationIndex At(std::string_view name, std::string_view file = "") {
    const FunctionIndex function =
        builder_.AddFunction({.name = builder_.AddString(name), .file = builder_.AddString(file)});
    return builder_.AddNamedLocation(builder_.AddModule({}), function, 0);
  }

  void Add(std::vector<LocationIndex> leaf_first, int64_t value, std::vector<Label> labels = {}) {
    builder_.AddSample(builder_.AddStack(leaf_first), builder_.AddLabels(labels), {{value}});
  }

  // "leaf<caller<root value" a sample.
  static std::vector<std::string> Samples(const Profile& profile) {
    std::vector<std::string> out;
    for (size_t i = 0; i < profile.samples.size(); ++i) {
      std::vector<LocationIndex> locations;
      AppendLocations(profile, profile.samples[i].stack, locations);
      std::vector<ShownFrame> frames;
      for (auto location = locations.rbegin(); location != locations.rend(); ++location) {
        AppendShownFrames(profile, *location, frames);
      }
      std::string text;
      for (const ShownFrame& frame : frames) {
        text = frame.name + (text.empty() ? "" : "<") + text;
      }
      out.push_back(text + " " + std::to_string(profile.ValuesOf(i)[0]));
    }
    return out;
  }

  ProfileBuilder builder_;
};

TEST_F(ProfileFilterTest, FocusKeepsStacksThatHaveTheFrameAnywhere) {
  Add({At("read"), At("serve"), At("main")}, 1);
  Add({At("serve"), At("main")}, 2);
  Add({At("idle"), At("main")}, 4);

  const Profile focused = FilterProfile(builder_.profile(), {.focus = Is("serve")});

  EXPECT_THAT(Samples(focused), ElementsAre("read<serve<main 1", "serve<main 2"));
}

TEST_F(ProfileFilterTest, FilesMatchAsNamesDo) {
  Add({At("a", "/src/a.c")}, 1);
  Add({At("b", "/src/b.c")}, 2);

  EXPECT_THAT(Samples(FilterProfile(builder_.profile(), {.focus = Is("/src/b.c")})),
              ElementsAre("b 2"));
}

TEST_F(ProfileFilterTest, HidingAFrameGivesItsTimeToTheCaller) {
  Add({At("wrapper"), At("serve"), At("wrapper"), At("main")}, 3);

  EXPECT_THAT(Samples(FilterProfile(builder_.profile(), {.hide = Is("wrapper")})),
              ElementsAre("serve<main 3"));
}

TEST_F(ProfileFilterTest, HidingAnInlinedFrameKeepsTheRestOfItsLocation) {
  Location location;
  location.module = builder_.AddModule({});
  location.address = 0x10;
  for (const char* name : {"innermost", "middle", "outermost"}) {
    location.lines.push_back(
        {.function = builder_.AddFunction({.name = builder_.AddString(name)}), .line = 1});
  }
  Add({builder_.AddLocation(location), At("main")}, 4);

  EXPECT_THAT(Samples(FilterProfile(builder_.profile(), {.hide = Is("middle")})),
              ElementsAre("innermost<outermost<main 4"));
  EXPECT_THAT(Samples(FilterProfile(builder_.profile(), {.hide = Is("innermost")})),
              ElementsAre("middle<outermost<main 4"));
}

TEST_F(ProfileFilterTest, AStackThatIsAllHiddenGoes) {
  Add({At("a")}, 1);
  Add({At("b"), At("a")}, 2);

  EXPECT_THAT(Samples(FilterProfile(builder_.profile(), {.hide = Is("a")})), ElementsAre("b 2"));
}

TEST_F(ProfileFilterTest, AnUnresolvedFrameIsHiddenByWhatItReads) {
  const ModuleIndex module = builder_.AddModule({.path = builder_.AddString("/lib/x.so")});
  Add({builder_.AddLocation(module, 0x20), At("main")}, 1);
  Add({builder_.AddLocation(module, 0x30), At("main")}, 2);

  EXPECT_THAT(Samples(FilterProfile(builder_.profile(), {.hide = Is("[x.so+0x20]")})),
              ElementsAre("main 1", "[x.so+0x30]<main 2"));
}

TEST_F(ProfileFilterTest, ThreadsAreChosenByNameOrNumber) {
  Add({At("a")}, 1, {builder_.TextLabel("thread", "io"), builder_.NumberLabel("tid", 7)});
  Add({At("b")}, 2, {builder_.TextLabel("thread", "main"), builder_.NumberLabel("tid", 8)});
  const auto is_eight = [](std::string_view name, std::optional<int64_t> tid) {
    return name == "nobody" || tid == 8;
  };

  EXPECT_THAT(Samples(FilterProfile(builder_.profile(), {.thread = is_eight})), ElementsAre("b 2"));
}

TEST_F(ProfileFilterTest, NoFilterChangesNothing) {
  Add({At("a"), At("main")}, 1);

  EXPECT_THAT(Samples(FilterProfile(builder_.profile(), {})), ElementsAre("a<main 1"));
}

TEST_F(ProfileFilterTest, MergingAddsUpEqualStacksAndTheTimeCovered) {
  Add({At("a"), At("main")}, 1);
  builder_.header().duration_nanos = 5;
  builder_.header().time_nanos = 100;
  const Profile one = builder_.profile();
  Profile two = one;
  two.time_nanos = 50;

  const absl::StatusOr<Profile> merged = MergeProfiles(std::vector<Profile>{one, two});

  ASSERT_TRUE(merged.ok());
  EXPECT_THAT(Samples(*merged), ElementsAre("a<main 2"));
  EXPECT_EQ(merged->duration_nanos, 10);
  EXPECT_EQ(merged->time_nanos, 50);
}

TEST_F(ProfileFilterTest, ProfilesOfDifferentThingsDoNotMerge) {
  ProfileBuilder other;
  other.SetValueTypes({{"alloc", "bytes"}});

  const absl::StatusOr<Profile> merged =
      MergeProfiles(std::vector<Profile>{builder_.profile(), std::move(other).Build()});

  EXPECT_EQ(merged.status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ProfileFilterOfWaits, DurationsStayWithTheirSamples) {
  const Profile all = WaitingProfile();
  const Profile kept = FilterProfile(
      all, {.hide = [](std::string_view text) { return text == "Query"; },
            .thread = [](std::string_view name, auto) { return name == "worker-2"; }});
  size_t with_times = 0;
  for (const auto& [sample, times] : kept.wait_times) {
    ASSERT_LT(sample, kept.samples.size());
    EXPECT_EQ(static_cast<int64_t>(times.total), kept.ValuesOf(sample)[3]);
    ++with_times;
  }

  EXPECT_EQ(with_times, 3U);
  EXPECT_EQ(all.wait_times.size(), 14U);
}

TEST(ProfileFilterOfWaits, IdleOnesCanBeLeftOut) {
  const Profile busy = FilterProfile(WaitingProfile(), {.idle = false});
  int64_t waiting = 0;
  for (size_t i = 0; i < busy.samples.size(); ++i) {
    EXPECT_EQ(busy.TextLabel(busy.samples[i], "idle"), "");
    waiting += busy.ValuesOf(i)[3];
  }

  EXPECT_EQ(waiting, 2'159'000'000);
}

TEST(MergeProfilesOfWaits, DurationsAddUp) {
  const std::vector<Profile> two = {WaitingProfile(), WaitingProfile()};
  const absl::StatusOr<Profile> merged = MergeProfiles(two);

  ASSERT_TRUE(merged.ok());
  ASSERT_EQ(merged->wait_times.size(), two[0].wait_times.size());
  for (const auto& [sample, times] : merged->wait_times) {
    EXPECT_EQ(static_cast<int64_t>(times.total), merged->ValuesOf(sample)[3]);
    EXPECT_EQ(static_cast<int64_t>(times.count), merged->ValuesOf(sample)[2]);
  }
}

}  // namespace
}  // namespace whyslow
