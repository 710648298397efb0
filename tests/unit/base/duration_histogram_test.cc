#include "base/duration_histogram.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

namespace whyslow {
namespace {

constexpr uint64_t kMost = std::numeric_limits<uint64_t>::max();
constexpr uint32_t kFull = std::numeric_limits<uint32_t>::max();

TEST(DurationHistogram, WhatIsShorterThanAMicrosecondSharesOneBucket) {
  EXPECT_EQ(DurationBucketOf(0), 0U);
  EXPECT_EQ(DurationBucketOf(1023), 0U);
  EXPECT_EQ(DurationBucketOf(1024), 1U);
}

TEST(DurationHistogram, EachPowerOfTwoHasFourBuckets) {
  EXPECT_EQ(DurationBucketOf(1279), 1U);
  EXPECT_EQ(DurationBucketOf(1280), 2U);
  EXPECT_EQ(DurationBucketOf(1535), 2U);
  EXPECT_EQ(DurationBucketOf(1536), 3U);
  EXPECT_EQ(DurationBucketOf(1792), 4U);
  EXPECT_EQ(DurationBucketOf(2047), 4U);
  EXPECT_EQ(DurationBucketOf(2048), 5U);
  EXPECT_EQ(DurationBucketOf(1'000'000), 40U);
}

TEST(DurationHistogram, TheLastBucketBeginsAtAboutAnHourAndHasNoEnd) {
  constexpr uint64_t kLastStart = (uint64_t{1024} << 31) / 4 * 7;

  EXPECT_EQ(DurationBucketStart(kDurationBuckets - 1), kLastStart);
  EXPECT_EQ(DurationBucketOf(kLastStart - 1), kDurationBuckets - 2);
  EXPECT_EQ(DurationBucketOf(kLastStart), kDurationBuckets - 1);
  EXPECT_EQ(DurationBucketOf(kMost), kDurationBuckets - 1);
}

TEST(DurationHistogram, EveryBucketBeginsWhereTheOneBeforeEnds) {
  EXPECT_EQ(DurationBucketStart(0), 0U);
  for (size_t bucket = 1; bucket < kDurationBuckets; ++bucket) {
    const uint64_t start = DurationBucketStart(bucket);
    EXPECT_EQ(DurationBucketOf(start), bucket);
    EXPECT_EQ(DurationBucketOf(start - 1), bucket - 1);
  }
}

TEST(DurationHistogram, CountsAddsUpAndKeepsTheLongest) {
  DurationHistogram times;
  times.Add(500);
  times.Add(3000);
  times.Add(2000);

  EXPECT_EQ(times.count, 3U);
  EXPECT_EQ(times.total, 5500U);
  EXPECT_EQ(times.max, 3000U);
  EXPECT_EQ(times.buckets[0], 1U);
  EXPECT_EQ(times.buckets[DurationBucketOf(2000)], 1U);
  EXPECT_EQ(times.buckets[DurationBucketOf(3000)], 1U);
}

TEST(DurationHistogram, TwoAddedAreAsIfCountedInOne) {
  DurationHistogram first;
  first.Add(100);
  first.Add(70'000);
  DurationHistogram second;
  second.Add(70'001);
  DurationHistogram both;
  both.Add(100);
  both.Add(70'000);
  both.Add(70'001);

  first.Add(second);

  EXPECT_EQ(first, both);
}

TEST(DurationHistogram, AddingAnEmptyOneChangesNothing) {
  DurationHistogram times;
  times.Add(5000);
  const DurationHistogram before = times;

  times.Add(DurationHistogram{});

  EXPECT_EQ(times, before);
}

TEST(DurationHistogram, FullBucketsStayFull) {
  DurationHistogram times;
  times.buckets[0] = kFull;
  times.buckets[1] = kFull - 1;
  DurationHistogram more;
  more.buckets[1] = 5;

  times.Add(10);
  times.Add(more);

  EXPECT_EQ(times.buckets[0], kFull);
  EXPECT_EQ(times.buckets[1], kFull);
}

// Files of others can hold any numbers.
TEST(DurationHistogram, SumsStopAtTheLargestNumber) {
  DurationHistogram times{.count = kMost, .total = kMost - 1, .max = 7};
  const DurationHistogram more = times;

  times.Add(5);
  EXPECT_EQ(times.count, kMost);
  EXPECT_EQ(times.total, kMost);

  times.Add(more);
  EXPECT_EQ(times.count, kMost);
  EXPECT_EQ(times.total, kMost);
}

TEST(DurationHistogram, OfNothingAllQuantilesAreZero) {
  EXPECT_EQ(DurationHistogram{}.Quantile(0.5), 0U);
  EXPECT_EQ(DurationHistogram{}.Quantile(1), 0U);
}

TEST(DurationHistogram, AQuantileLiesInItsBucket) {
  DurationHistogram times;
  for (int i = 0; i < 95; ++i) {
    times.Add(10'000);
  }
  for (int i = 0; i < 5; ++i) {
    times.Add(50'000'000);
  }

  EXPECT_EQ(DurationBucketOf(times.Quantile(0.5)), DurationBucketOf(10'000));
  EXPECT_EQ(DurationBucketOf(times.Quantile(0.96)), DurationBucketOf(50'000'000));
  EXPECT_LE(times.Quantile(0.5), times.Quantile(0.9));
}

TEST(DurationHistogram, NoQuantileIsAboveTheLongest) {
  DurationHistogram times;
  times.Add(1025);

  EXPECT_EQ(times.Quantile(1), 1025U);
  EXPECT_LE(times.Quantile(0.99), 1025U);
}

TEST(DurationHistogram, TheLastBucketReachesToTheLongest) {
  constexpr uint64_t kDay = uint64_t{86'400} * 1'000'000'000;
  DurationHistogram times;
  times.Add(kDay);

  EXPECT_EQ(times.Quantile(1), kDay);
}

TEST(DurationHistogram, SharesOutsideOfZeroToOneAreTheEnds) {
  DurationHistogram times;
  times.Add(3000);
  times.Add(9000);

  EXPECT_EQ(times.Quantile(-1), times.Quantile(0));
  EXPECT_EQ(times.Quantile(2), times.Quantile(1));
}

// A duration that no clock has shown, but a file may.
TEST(DurationHistogram, QuantilesOfHugeDurationsAreNotTurnedOver) {
  DurationHistogram times;
  times.Add(kMost);

  EXPECT_EQ(times.Quantile(1), kMost);
  EXPECT_GT(times.Quantile(0.9), kMost / 2);
}

TEST(DurationHistogram, EqualDurationsAreTheirOwnQuantiles) {
  DurationHistogram equal;
  for (int i = 0; i < 3; ++i) {
    equal.Add(50'000'000);
  }

  EXPECT_EQ(equal.Quantile(0.5), 50'000'000U);
  EXPECT_EQ(equal.Quantile(0.95), 50'000'000U);
  EXPECT_EQ(DurationHistogram().Quantile(0.5), 0U);
}

}  // namespace
}  // namespace whyslow
