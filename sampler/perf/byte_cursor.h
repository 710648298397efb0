// Reads values one after the other out of bytes, and never past their end.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>

namespace whyslow {

// After the first read that does not fit, every read gives zeros and ok() stays false, so that a
// parser checks once, at its end.
class ByteCursor {
 public:
  explicit ByteCursor(std::span<const std::byte> bytes) : bytes_(bytes) {}

  template <class T>
  T Read() {
    static_assert(std::is_trivially_copyable_v<T>);
    T value{};
    const std::span<const std::byte> from = Take(sizeof(T));
    if (!from.empty()) {
      std::memcpy(&value, from.data(), sizeof(T));
    }
    return value;
  }

  // The next `size` bytes; empty when there are not as many.
  std::span<const std::byte> Take(size_t size) {
    if (!ok_ || size > bytes_.size()) {
      ok_ = false;
      return {};
    }
    const std::span<const std::byte> taken = bytes_.first(size);
    bytes_ = bytes_.subspan(size);
    return taken;
  }

  // Text up to its terminating zero, in a field that takes all the bytes that are left.
  std::string ReadPaddedText() {
    const auto* text = reinterpret_cast<const char*>(bytes_.data());
    std::string result(text, strnlen(text, bytes_.size()));
    bytes_ = {};
    return result;
  }

  bool ok() const { return ok_; }
  size_t left() const { return bytes_.size(); }

 private:
  std::span<const std::byte> bytes_;
  bool ok_ = true;
};

}  // namespace whyslow
