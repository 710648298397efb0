// Memory of the target behind a seam: live, a sample's stack copy, a recording, a test's bytes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
#include <type_traits>

#include "base/address.h"
#include "base/ids.h"

namespace whyslow {

class TargetMemory {
 public:
  virtual ~TargetMemory() = default;

  // Bytes read before the first unreadable one; 0 when `from` itself is unreadable.
  virtual size_t Read(RuntimeAddress from, std::span<std::byte> into) const = 0;

  // What can be read without a call: the bytes from `start` on. Empty where there is no copy.
  // Read() gives the same bytes there.
  struct Bytes {
    RuntimeAddress start;
    std::span<const std::byte> bytes;
  };
  virtual Bytes Copy() const { return {}; }

  // nullopt, never a silent 0.
  template <class T>
  std::optional<T> ReadValue(RuntimeAddress from) const {
    static_assert(std::is_trivially_copyable_v<T>);
    T value;
    const size_t got = Read(from, std::as_writable_bytes(std::span(&value, 1)));
    return got == sizeof(T) ? std::optional(value) : std::nullopt;
  }
};

// The bytes that the kernel copied with a sample; knows nothing else. Borrows them.
class StackCopy final : public TargetMemory {
 public:
  StackCopy(RuntimeAddress start, std::span<const std::byte> bytes)
      : start_(start), bytes_(bytes) {}

  size_t Read(RuntimeAddress from, std::span<std::byte> into) const override {
    if (from < start_ || from - start_ >= bytes_.size()) {
      return 0;
    }
    const size_t offset = from - start_;
    const size_t size = std::min(into.size(), bytes_.size() - offset);
    std::memcpy(into.data(), bytes_.data() + offset, size);
    return size;
  }

  Bytes Copy() const override { return {start_, bytes_}; }

 private:
  RuntimeAddress start_;
  std::span<const std::byte> bytes_;
};

// process_vm_readv of a live process. What is read may change while it is read.
class LiveMemory final : public TargetMemory {
 public:
  explicit LiveMemory(Pid pid) : pid_(pid) {}
  size_t Read(RuntimeAddress from, std::span<std::byte> into) const override;

 private:
  Pid pid_;
};

}  // namespace whyslow
