#include "base/duration_histogram.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace whyslow {
namespace {

// Numbers of a file can be anything.
template <class Number>
Number CappedSum(Number a, Number b) {
  Number sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? std::numeric_limits<Number>::max() : sum;
}

}  // namespace

void DurationHistogram::Add(uint64_t nanos) {
  count = CappedSum(count, uint64_t{1});
  total = CappedSum(total, nanos);
  max = std::max(max, nanos);
  uint32_t& bucket = buckets[DurationBucketOf(nanos)];
  bucket = CappedSum(bucket, uint32_t{1});
}

void DurationHistogram::Add(const DurationHistogram& other) {
  count = CappedSum(count, other.count);
  total = CappedSum(total, other.total);
  max = std::max(max, other.max);
  for (size_t i = 0; i < buckets.size(); ++i) {
    buckets[i] = CappedSum(buckets[i], other.buckets[i]);
  }
}

uint64_t DurationHistogram::Quantile(double share) const {
  uint64_t in_buckets = 0;
  for (const uint32_t bucket : buckets) {
    in_buckets += bucket;
  }
  const double rank = std::clamp(share, 0.0, 1.0) * static_cast<double>(in_buckets);
  double below = 0;
  for (size_t i = 0; i < buckets.size(); ++i) {
    const auto here = static_cast<double>(buckets[i]);
    if (here > 0 && below + here >= rank) {
      const auto longest = static_cast<double>(max);
      auto start = static_cast<double>(DurationBucketStart(i));
      const double end = i + 1 < buckets.size()
                             ? std::min(static_cast<double>(DurationBucketStart(i + 1)), longest)
                             : longest;
      if (buckets[i] == in_buckets && count > 0) {
        // All in one bucket: spread so that their mean is right, which is exact for equal ones.
        const double mean = static_cast<double>(total) / static_cast<double>(count);
        start = std::clamp(2 * mean - longest, std::min(start, end), end);
      }
      const double value = start + (end - start) * std::clamp((rank - below) / here, 0.0, 1.0);
      // Compared before it is turned into a whole number, which has an end.
      return value >= static_cast<double>(max) ? max : static_cast<uint64_t>(std::round(value));
    }
    below += here;
  }
  return 0;
}

}  // namespace whyslow
