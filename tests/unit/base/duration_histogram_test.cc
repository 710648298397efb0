#include "base/duration_histogram.h"

#include <gtest/gtest.h>

#include <limits>

namespace whyslow {
namespace {

DurationHistogram Of(std::initializer_list<uint64_t> durations) {
  DurationHistogram histogram;
  for (const uint64_t each : durations) {
    histogram.Add(each);
  }
  return histogram;
}

TEST(DurationBuckets, EachBeginsWhereTheOneBeforeEnds) {
  for (size_t bucket = 1; bucket < kDurationBuckets; ++bucket) {
    const uint64_t start = DurationBucketStart(bucket);
    EXPECT_EQ(DurationBucketOf(start), bucket);
    EXPECT_EQ(DurationBucketOf(start - 1), bucket - 1);
  }
  EXPECT_EQ(DurationBucketOf(std::numeric_limits<uint64_t>::max()), kDurationBuckets - 1);
}

TEST(DurationHistogram, EqualDurationsAreTheirOwnQuantiles) {
  const DurationHistogram equal = Of({50'000'000, 50'000'000, 50'000'000});

  EXPECT_EQ(equal.Quantile(0.5), 50'000'000U);
  EXPECT_EQ(equal.Quantile(0.95), 50'000'000U);
  EXPECT_EQ(Of({7}).Quantile(0.5), 7U);
  EXPECT_EQ(DurationHistogram().Quantile(0.5), 0U);
}

TEST(DurationHistogram, AQuantileLiesInItsBucketAndNotAboveTheLongest) {
  const DurationHistogram histogram = Of({1'000'000, 1'100'000, 1'200'000, 90'000'000});

  const uint64_t median = histogram.Quantile(0.5);
  EXPECT_EQ(DurationBucketOf(median), DurationBucketOf(1'100'000));
  EXPECT_EQ(DurationBucketOf(histogram.Quantile(0.95)), DurationBucketOf(90'000'000));
  EXPECT_LE(histogram.Quantile(1), 90'000'000U);
}

TEST(DurationHistogram, SumsOfSeveralAreSums) {
  DurationHistogram sum = Of({1, 2'000});
  sum.Add(Of({3'000'000}));

  EXPECT_EQ(sum, Of({1, 2'000, 3'000'000}));
}

TEST(DurationHistogram, NumbersOfAHostileFileDoNotWrapAround) {
  constexpr uint64_t kMost = std::numeric_limits<uint64_t>::max();
  DurationHistogram sum{.count = kMost, .total = kMost, .max = 1};
  sum.buckets[3] = std::numeric_limits<uint32_t>::max();
  const DurationHistogram twice = sum;
  sum.Add(twice);

  EXPECT_EQ(sum, twice);
  EXPECT_LE(sum.Quantile(0.5), 1U);

  DurationHistogram contradictory{.max = 5'000};
  contradictory.buckets[3] = 1;
  EXPECT_LE(contradictory.Quantile(0.5), 5'000U);
}

}  // namespace
}  // namespace whyslow
