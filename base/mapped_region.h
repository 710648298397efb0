// A stretch of memory from mmap with one owner.
#pragma once

#include <absl/status/statusor.h>

#include <cstddef>
#include <span>
#include <string_view>

namespace whyslow {

class MappedRegion {
 public:
  MappedRegion() = default;
  MappedRegion(MappedRegion&& other) noexcept;
  MappedRegion& operator=(MappedRegion&& other) noexcept;
  MappedRegion(const MappedRegion&) = delete;
  MappedRegion& operator=(const MappedRegion&) = delete;
  ~MappedRegion();

  // `what` names the thing for the error text. `prot` and `flags` are mmap's.
  static absl::StatusOr<MappedRegion> Map(int fd, size_t size, int prot, int flags, int64_t offset,
                                          std::string_view what);

  std::span<std::byte> bytes() const { return {data_, size_}; }

 private:
  MappedRegion(std::byte* data, size_t size) : data_(data), size_(size) {}

  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace whyslow
