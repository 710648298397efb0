#include "sampler/perf/ring_buffer.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>

#include "base/status.h"

namespace whyslow {
namespace {

size_t PageSize() {
  static const auto kSize = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return kSize;
}

}  // namespace

PerfRing::PerfRing(UniqueFd event, MappedRegion region, size_t data_bytes)
    : event_(std::move(event)),
      region_(std::move(region)),
      control_(reinterpret_cast<perf_event_mmap_page*>(region_.bytes().data())),
      data_(region_.bytes().last(data_bytes)),
      position_(control_->data_tail) {}

absl::StatusOr<PerfRing> PerfRing::Map(UniqueFd event, size_t data_bytes) {
  for (size_t bytes = data_bytes;; bytes /= 2) {
    absl::StatusOr<MappedRegion> region =
        MappedRegion::Map(event.get(), PageSize() + bytes, PROT_READ | PROT_WRITE, MAP_SHARED, 0,
                          "mapping a ring for events");
    if (region.ok()) {
      return PerfRing(std::move(event), *std::move(region), bytes);
    }
    if (!absl::IsPermissionDenied(region.status()) || bytes <= PageSize()) {
      return region.status();
    }
  }
}

PerfRing PerfRing::FromRegion(MappedRegion region, size_t data_bytes) {
  return PerfRing(UniqueFd(), std::move(region), data_bytes);
}

uint64_t PerfRing::Head() const {
  // The kernel publishes a record by moving the head after the bytes are written: acquire, so that
  // no byte is read before.
  return std::atomic_ref(control_->data_head).load(std::memory_order_acquire);
}

void PerfRing::GiveBack() {
  // Release: the kernel may overwrite what lies before the tail, so our reading must be done.
  std::atomic_ref(control_->data_tail).store(position_, std::memory_order_release);
}

std::span<const std::byte> PerfRing::BytesAt(uint64_t position, size_t size) {
  const size_t offset = position & (data_.size() - 1);
  const size_t before_end = std::min(size, data_.size() - offset);
  if (before_end == size) {
    return data_.subspan(offset, size);
  }
  scratch_.resize(size);
  std::memcpy(scratch_.data(), data_.data() + offset, before_end);
  std::memcpy(scratch_.data() + before_end, data_.data(), size - before_end);
  return scratch_;
}

std::span<const std::byte> PerfRing::Next(uint64_t until) {
  GiveBack();
  if (position_ >= until) {
    return {};
  }
  perf_event_header header;
  std::memcpy(&header, BytesAt(position_, sizeof(header)).data(), sizeof(header));
  if (header.size < sizeof(header) || header.size > until - position_) {
    // Never seen; the records' borders are lost, so all that is there is skipped.
    position_ = until;
    GiveBack();
    return {};
  }
  const std::span<const std::byte> record = BytesAt(position_, header.size);
  position_ += header.size;
  return record;
}

}  // namespace whyslow
