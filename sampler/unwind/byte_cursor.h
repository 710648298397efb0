// Reads little-endian numbers from bytes that may be hostile: past the end everything is 0 and
// ok() is false.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace whyslow {

class ByteCursor {
 public:
  explicit ByteCursor(std::span<const std::byte> bytes)
      : begin_(bytes.data()), at_(begin_), end_(begin_ + bytes.size()) {}

  bool ok() const { return ok_; }
  // Nothing is left, or what was wanted was not there.
  bool done() const { return at_ == end_; }
  size_t position() const { return static_cast<size_t>(at_ - begin_); }
  size_t left() const { return static_cast<size_t>(end_ - at_); }

  template <class T>
  T Take() {
    T value{};
    if (left() < sizeof(T)) {
      Fail();
    } else {
      std::memcpy(&value, at_, sizeof(T));
      at_ += sizeof(T);
    }
    return value;
  }
  uint8_t U8() { return Take<uint8_t>(); }
  uint32_t U32() { return Take<uint32_t>(); }

  // LEB128; bits beyond the 64th are dropped.
  uint64_t Uleb() {
    uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
      const uint8_t byte = U8();
      if (shift < 64) {
        value |= uint64_t{byte & 0x7fU} << shift;
      }
      if ((byte & 0x80) == 0) {
        return value;
      }
    }
  }
  int64_t Sleb() {
    uint64_t value = 0;
    for (unsigned shift = 0;;) {
      const uint8_t byte = U8();
      if (shift < 64) {
        value |= uint64_t{byte & 0x7fU} << shift;
      }
      shift += 7;
      if ((byte & 0x80) == 0) {
        if (shift < 64 && (byte & 0x40) != 0) {
          value |= ~uint64_t{0} << shift;
        }
        return static_cast<int64_t>(value);
      }
    }
  }

  std::span<const std::byte> Block(uint64_t size) {
    if (size > left()) {
      Fail();
      return {};
    }
    const std::span<const std::byte> block(at_, static_cast<size_t>(size));
    at_ += size;
    return block;
  }
  void Skip(uint64_t size) { Block(size); }
  // A jump within the bytes, forwards or backwards.
  void Move(int64_t distance) {
    if (distance < -(at_ - begin_) || distance > end_ - at_) {
      Fail();
    } else {
      at_ += distance;
    }
  }

 private:
  void Fail() {
    ok_ = false;
    at_ = end_;
  }

  const std::byte* begin_;
  const std::byte* at_;
  const std::byte* end_;
  bool ok_ = true;
};

}  // namespace whyslow
