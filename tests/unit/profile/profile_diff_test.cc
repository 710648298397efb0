#include "profile/profile_diff.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "profile/profile_builder.h"

namespace whyslow {
namespace {

using ::testing::DoubleEq;
using ::testing::HasSubstr;

constexpr int64_t kSecond = 1'000'000'000;

struct Row {
  const char* function;
  const char* file;
  int64_t value;
};

// Every row is a stack: the function, called by main.
Profile Made(const std::vector<Row>& rows, int64_t seconds, const char* type = "cpu",
             const char* unit = "nanoseconds") {
  ProfileBuilder builder;
  builder.SetValueTypes({{"samples", "count"}, {type, unit}});
  const auto location = [&](const char* name, const char* file) {
    const FunctionIndex function =
        builder.AddFunction({.name = builder.AddString(name), .file = builder.AddString(file)});
    return builder.AddNamedLocation(builder.AddModule({}), function, 0);
  };
  for (const Row& row : rows) {
    const std::vector<LocationIndex> stack = {location(row.function, row.file),
                                              location("main", "main.c")};
    builder.AddSample(builder.AddStack(stack), LabelSetIndex(), {{1, row.value}});
  }
  builder.header().duration_nanos = seconds * kSecond;
  return std::move(builder).Build();
}

const DiffRow& RowOf(const ProfileDiff& diff, std::string_view name) {
  static const DiffRow kNone;
  for (const DiffRow& row : diff.rows) {
    if (row.name == name) {
      return row;
    }
  }
  ADD_FAILURE() << "no row " << name;
  return kNone;
}

TEST(DiffProfiles, ProfilesOfDifferentLengthCompareBySecondProfiled) {
  const Profile before = Made({{"work", "w.c", 2 * kSecond}}, 10);
  const Profile after = Made({{"work", "w.c", 8 * kSecond}}, 20);

  const ProfileDiff diff = *DiffProfiles(before, after);

  EXPECT_TRUE(diff.per_second);
  EXPECT_THAT(RowOf(diff, "work").self.before, DoubleEq(0.2e9));
  EXPECT_THAT(RowOf(diff, "work").self.after, DoubleEq(0.4e9));
  EXPECT_THAT(RowOf(diff, "work").self.delta(), DoubleEq(0.2e9));
  EXPECT_THAT(RowOf(diff, "main").self.delta(), DoubleEq(0));
  EXPECT_THAT(RowOf(diff, "main").total.delta(), DoubleEq(0.2e9));
  EXPECT_THAT(diff.whole.before, DoubleEq(0.2e9));
}

TEST(DiffProfiles, FunctionsThatCameAndWentHaveZeroOnTheOtherSide) {
  const ProfileDiff diff =
      *DiffProfiles(Made({{"gone", "g.c", 3 * kSecond}}, 1), Made({{"fresh", "f.c", kSecond}}, 1));

  EXPECT_THAT(RowOf(diff, "gone").self.after, DoubleEq(0));
  EXPECT_THAT(RowOf(diff, "fresh").self.before, DoubleEq(0));
  EXPECT_EQ(diff.rows.front().name, "gone") << "the greatest change comes first";
}

TEST(DiffProfiles, AnotherBuildFolderDoesNotMakeAnotherFunction) {
  const ProfileDiff diff = *DiffProfiles(Made({{"work", "/build/1/w.c", kSecond}}, 1),
                                         Made({{"work", "/build/2/w.c", kSecond}}, 1));

  EXPECT_THAT(RowOf(diff, "work").self.delta(), DoubleEq(0));
  EXPECT_EQ(RowOf(diff, "work").file, "/build/2/w.c");
}

TEST(DiffProfiles, WithoutADurationSumsAreCompared) {
  const ProfileDiff diff =
      *DiffProfiles(Made({{"work", "w.c", 4}}, 0), Made({{"work", "w.c", 6}}, 10));

  EXPECT_FALSE(diff.per_second);
  EXPECT_THAT(RowOf(diff, "work").self.delta(), DoubleEq(2));
}

TEST(DiffProfiles, TheFirstCommonValueServesWhereTheDefaultIsNotInBoth) {
  const ProfileDiff diff = *DiffProfiles(Made({}, 1, "alloc", "bytes"), Made({}, 1));

  EXPECT_EQ(diff.type, "samples");
}

TEST(DiffProfiles, AValueCanBeChosen) {
  const Profile profile = Made({{"work", "w.c", 5}}, 1);

  EXPECT_EQ(DiffProfiles(profile, profile, "samples")->unit, "count");
  EXPECT_THAT(std::string(DiffProfiles(profile, profile, "wall").status().message()),
              HasSubstr("no value in common named wall"));
}

TEST(DiffProfiles, UnitsThatDifferAreAnError) {
  const absl::StatusOr<ProfileDiff> diff =
      DiffProfiles(Made({}, 1, "cpu", "nanoseconds"), Made({}, 1, "cpu", "seconds"));

  EXPECT_EQ(diff.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(diff.status().message()), HasSubstr("the units of cpu differ"));
}

TEST(DiffProfiles, NothingInCommonIsAnErrorThatSaysWhatThereIs) {
  EXPECT_THAT(std::string(DiffProfiles(Profile(), Made({}, 1)).status().message()),
              HasSubstr("before has none, after has samples/count, cpu/nanoseconds"));
}

}  // namespace
}  // namespace whyslow
