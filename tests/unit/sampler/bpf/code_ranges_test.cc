#include "sampler/bpf/code_ranges.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace whyslow {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

TEST(CodeRanges, AreInOrderAndJoinedWhereTheyTouch) {
  CodeRanges ranges;
  ranges.Add(RuntimeAddress(0x9000), 0x1000);
  ranges.Add(RuntimeAddress(0x1000), 0x1000);
  ranges.Add(RuntimeAddress(0x2000), 0x1000);

  EXPECT_THAT(ranges.AtMost(64), ElementsAre(Pair(0x1000, 0x3000), Pair(0x9000, 0xa000)));
}

TEST(CodeRanges, OneMayLieInAnotherOrOverSeveral) {
  CodeRanges ranges;
  ranges.Add(RuntimeAddress(0x1000), 0x1000);
  ranges.Add(RuntimeAddress(0x4000), 0x1000);
  ranges.Add(RuntimeAddress(0x4100), 0x100);
  EXPECT_THAT(ranges.AtMost(64), ElementsAre(Pair(0x1000, 0x2000), Pair(0x4000, 0x5000)));

  ranges.Add(RuntimeAddress(0x800), 0x8000);
  EXPECT_THAT(ranges.AtMost(64), ElementsAre(Pair(0x800, 0x8800)));
}

TEST(CodeRanges, TooManyAreJoinedAcrossTheSmallestGaps) {
  CodeRanges ranges;
  ranges.Add(RuntimeAddress(0x1000), 0x100);
  ranges.Add(RuntimeAddress(0x1200), 0x100);
  ranges.Add(RuntimeAddress(0x8000), 0x100);
  ranges.Add(RuntimeAddress(0x8200), 0x100);
  ranges.Add(RuntimeAddress(0x20000), 0x100);

  EXPECT_EQ(ranges.AtMost(5).size(), 5U);
  EXPECT_THAT(ranges.AtMost(4), ElementsAre(Pair(0x1000, 0x1300), Pair(0x8000, 0x8100),
                                            Pair(0x8200, 0x8300), Pair(0x20000, 0x20100)));
  EXPECT_THAT(ranges.AtMost(3),
              ElementsAre(Pair(0x1000, 0x1300), Pair(0x8000, 0x8300), Pair(0x20000, 0x20100)));
  EXPECT_THAT(ranges.AtMost(1), ElementsAre(Pair(0x1000, 0x20100)));
}

TEST(CodeRanges, NothingAndWhatWrapsAroundIsLeftOut) {
  CodeRanges ranges;
  ranges.Add(RuntimeAddress(0x1000), 0);
  ranges.Add(RuntimeAddress(~uint64_t{0}), 16);

  EXPECT_TRUE(ranges.AtMost(64).empty());
}

}  // namespace
}  // namespace whyslow
