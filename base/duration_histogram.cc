#include "base/duration_histogram.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace whyslow {
namespace {

uint32_t CappedSum(uint32_t a, uint32_t b) {
  const uint64_t sum = uint64_t{a} + b;
  return static_cast<uint32_t>(std::min<uint64_t>(sum, std::numeric_limits<uint32_t>::max()));
}

uint64_t CappedSum(uint64_t a, uint64_t b) {
  uint64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? std::numeric_limits<uint64_t>::max() : sum;
}

}  // namespace

void DurationHistogram::Add(uint64_t nanos) {
  ++count;
  total += nanos;
  max = std::max(max, nanos);
  uint32_t& bucket = buckets[DurationBucketOf(nanos)];
  bucket = CappedSum(bucket, 1);
}

void DurationHistogram::Add(const DurationHistogram& other) {
  // Of files, where numbers can be anything.
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
      return std::min(static_cast<uint64_t>(std::llround(std::max(value, 0.0))), max);
    }
    below += here;
  }
  return 0;
}

}  // namespace whyslow
