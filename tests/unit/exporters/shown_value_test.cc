#include "exporters/shown_value.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <numeric>

#include "profile/profile_builder.h"
#include "tests/support/sample_profiles.h"

namespace whyslow {
namespace {

using testing::ElementsAre;

std::vector<int64_t> Divide(std::vector<int64_t> values, int64_t divisor) {
  return DivideKeepingTheSum(values, divisor);
}

TEST(DivideKeepingTheSum, TheLargestRemaindersAreRoundedUp) {
  EXPECT_THAT(Divide({1400, 1400, 1700, 500}, 1000), ElementsAre(1, 1, 2, 1));
}

TEST(DivideKeepingTheSum, ManySmallValuesAreNotLost) {
  const std::vector<int64_t> out = Divide(std::vector<int64_t>(1000, 400), 1000);

  EXPECT_EQ(std::accumulate(out.begin(), out.end(), int64_t{0}), 400);
}

TEST(DivideKeepingTheSum, NegativeValuesOfDifferencesCountToo) {
  EXPECT_THAT(Divide({-1500, 2500}, 1000), ElementsAre(-1, 2));
  EXPECT_THAT(Divide({-1000, -2000}, 1000), ElementsAre(-1, -2));
}

TEST(DivideKeepingTheSum, ADivisorOfOneChangesNothing) {
  EXPECT_THAT(Divide({3, 0, 7}, 1), ElementsAre(3, 0, 7));
}

TEST(ShownValue, AWallProfileShowsMicrosecondsOfWall) {
  const ShownValue shown = ShownValueOf(ServerProfile());

  EXPECT_EQ(shown.type, "wall");
  EXPECT_EQ(shown.column, 4U);
  EXPECT_EQ(shown.divisor, 1000);
}

TEST(ShownValue, ACpuProfileShowsSamples) {
  const ShownValue shown = ShownValueOf(CpuProfile());

  EXPECT_EQ(shown.type, "cpu_samples");
  EXPECT_EQ(shown.divisor, 1);
}

TEST(ShownValue, AnotherToolsProfileShowsItsLastColumn) {
  ProfileBuilder builder;
  builder.SetValueTypes({{"samples", "count"}, {"space", "bytes"}});

  const ShownValue shown = ShownValueOf(builder.profile());

  EXPECT_EQ(shown.type, "space");
  EXPECT_EQ(shown.divisor, 1);
}

}  // namespace
}  // namespace whyslow
