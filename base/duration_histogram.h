// How long something took, many times: counts in buckets that grow by the fourth part of an octave.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace whyslow {

// Bucket 0 holds what is shorter than 1,024 ns; behind it four buckets for each power of two, by
// the two bits behind the leading one. The last one holds everything from 1,024 * 1.75 * 2^31 ns
// (an hour) on. The BPF program counts by the same rule (sampler/bpf/wait_records.h).
inline constexpr size_t kDurationBuckets = 129;

constexpr size_t DurationBucketOf(uint64_t nanos) {
  constexpr int kFirstOctave = 10;
  if (nanos < (uint64_t{1} << kFirstOctave)) {
    return 0;
  }
  const int octave = static_cast<int>(std::bit_width(nanos)) - 1;
  const uint64_t quarter = nanos >> (octave - 2) & 3;
  const size_t bucket = 1 + static_cast<size_t>(octave - kFirstOctave) * 4 + quarter;
  return bucket < kDurationBuckets ? bucket : kDurationBuckets - 1;
}

// The shortest duration that belongs into the bucket.
constexpr uint64_t DurationBucketStart(size_t bucket) {
  return bucket == 0 ? 0 : ((bucket - 1) % 4 + 4) << ((bucket - 1) / 4 + 8);
}

// `total` is exact; a quantile is right within its bucket, and never above `max`.
struct DurationHistogram {
  uint64_t count = 0;
  uint64_t total = 0;  // nanoseconds
  uint64_t max = 0;
  std::array<uint32_t, kDurationBuckets> buckets{};

  void Add(uint64_t nanos);
  void Add(const DurationHistogram& other);
  // The duration in nanoseconds that this share (0 .. 1) of all does not exceed. 0: there is none.
  uint64_t Quantile(double share) const;

  bool operator==(const DurationHistogram&) const = default;
};

}  // namespace whyslow
