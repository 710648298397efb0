#include "base/mapped_region.h"

#include <sys/mman.h>

#include <cerrno>
#include <utility>

#include "base/status.h"

namespace whyslow {

MappedRegion::MappedRegion(MappedRegion&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedRegion& MappedRegion::operator=(MappedRegion&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedRegion::~MappedRegion() {
  if (data_ != nullptr) {
    munmap(data_, size_);
  }
}

absl::StatusOr<MappedRegion> MappedRegion::Map(int fd, size_t size, int prot, int flags,
                                               int64_t offset, std::string_view what) {
  void* data = mmap(nullptr, size, prot, flags, fd, offset);
  if (data == MAP_FAILED) {
    return ErrnoStatus(errno, what);
  }
  return MappedRegion(static_cast<std::byte*>(data), size);
}

}  // namespace whyslow
