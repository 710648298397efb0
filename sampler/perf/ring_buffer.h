// One ring of records that the kernel fills and we empty, through memory shared with it.
#pragma once

#include <absl/status/statusor.h>
#include <linux/perf_event.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/mapped_region.h"
#include "base/unique_fd.h"

namespace whyslow {

// Owns its event and the mapping. One thread reads.
//
//   const uint64_t until = ring.Head();
//   for (auto record = ring.Next(until); !record.empty(); record = ring.Next(until)) { … }
class PerfRing {
 public:
  // Maps `data_bytes` (a power of two) of ring for the event. Where the limit on locked memory
  // refuses that, half of it, and so on.
  static absl::StatusOr<PerfRing> Map(UniqueFd event, size_t data_bytes);
  // A ring that a test has laid out in memory.
  static PerfRing FromRegion(MappedRegion region, size_t data_bytes);

  int fd() const { return event_.get(); }
  size_t data_bytes() const { return data_.size(); }

  // Up to where the kernel has written by now.
  uint64_t Head() const;
  // The next record that begins before `until` (a Head() from before), header included; empty when
  // there is none. Valid until the next call, which gives its room back to the kernel.
  std::span<const std::byte> Next(uint64_t until);

 private:
  PerfRing(UniqueFd event, MappedRegion region, size_t data_bytes);
  void GiveBack();
  // The bytes at a position, joined in `scratch_` where they wrap around the ring's end.
  std::span<const std::byte> BytesAt(uint64_t position, size_t size);

  UniqueFd event_;
  MappedRegion region_;
  perf_event_mmap_page* control_;
  std::span<const std::byte> data_;
  uint64_t position_;  // all before it has been read
  std::vector<std::byte> scratch_;
};

}  // namespace whyslow
