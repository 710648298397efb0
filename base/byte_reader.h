// A cursor over bytes that may be hostile: it never reads past the end, and remembers that it would
// have.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace whyslow {

// Little-endian. After the first read past the end every value is 0 and ok() is false, so that a
// parser checks once per record instead of once per field.
class ByteReader {
 public:
  ByteReader() = default;
  explicit ByteReader(std::span<const std::byte> bytes, uint64_t position = 0)
      : begin_(reinterpret_cast<const uint8_t*>(bytes.data())),
        cursor_(begin_),
        end_(begin_ + bytes.size()) {
    Seek(position);
  }

  bool ok() const { return !failed_; }
  bool at_end() const { return cursor_ == end_; }
  uint64_t position() const { return static_cast<uint64_t>(cursor_ - begin_); }
  uint64_t remaining() const { return static_cast<uint64_t>(end_ - cursor_); }

  void Fail() {
    failed_ = true;
    cursor_ = end_;
  }

  void Seek(uint64_t position) {
    if (position > static_cast<uint64_t>(end_ - begin_)) {
      Fail();
    } else {
      cursor_ = begin_ + position;
    }
  }

  void Skip(uint64_t bytes) {
    if (bytes > remaining()) {
      Fail();
    } else {
      cursor_ += bytes;
    }
  }

  // Forwards or backwards.
  void Move(int64_t distance) {
    if (distance < begin_ - cursor_ || distance > end_ - cursor_) {
      Fail();
    } else {
      cursor_ += distance;
    }
  }

  // The next `size` bytes; empty when there are not as many.
  std::span<const std::byte> Block(uint64_t size) {
    const auto* block = reinterpret_cast<const std::byte*>(cursor_);
    Skip(size);
    return failed_ ? std::span<const std::byte>() : std::span(block, static_cast<size_t>(size));
  }

  // From now on the bytes end here (`position` counts from the beginning of all).
  void EndAt(uint64_t position) {
    if (position < this->position() || position > static_cast<uint64_t>(end_ - begin_)) {
      Fail();
    } else {
      end_ = begin_ + position;
    }
  }

  template <class T>
  T Fixed() {
    if (remaining() < sizeof(T)) {
      Fail();
      return T{};
    }
    T value;
    std::memcpy(&value, cursor_, sizeof(T));
    cursor_ += sizeof(T);
    return value;
  }

  uint8_t U8() { return Fixed<uint8_t>(); }
  uint16_t U16() { return Fixed<uint16_t>(); }
  uint32_t U32() { return Fixed<uint32_t>(); }
  uint64_t U64() { return Fixed<uint64_t>(); }

  // 1 to 8 bytes.
  uint64_t Unsigned(unsigned size) {
    if (size > 8 || remaining() < size) {
      Fail();
      return 0;
    }
    uint64_t value = 0;
    std::memcpy(&value, cursor_, size);
    cursor_ += size;
    return value;
  }

  uint64_t Uleb() {
    if (cursor_ != end_ && *cursor_ < 0x80) {
      return *cursor_++;
    }
    return LongUleb();
  }

  int64_t Sleb() {
    uint64_t value = 0;
    for (unsigned shift = 0; cursor_ != end_; shift += 7) {
      const uint8_t byte = *cursor_++;
      if (shift < 64) {
        value |= uint64_t{byte & 0x7FU} << shift;
      }
      if ((byte & 0x80) == 0) {
        if (shift + 7 < 64 && (byte & 0x40) != 0) {
          value |= ~uint64_t{0} << (shift + 7);
        }
        return static_cast<int64_t>(value);
      }
    }
    Fail();
    return 0;
  }

  void SkipLeb() {
    while (cursor_ != end_) {
      if (*cursor_++ < 0x80) {
        return;
      }
    }
    Fail();
  }

  // Up to the terminating zero, which is consumed.
  std::string_view CString() {
    const void* zero = at_end() ? nullptr : std::memchr(cursor_, 0, remaining());
    if (zero == nullptr) {
      Fail();
      return {};
    }
    const std::string_view text(reinterpret_cast<const char*>(cursor_),
                                static_cast<size_t>(static_cast<const uint8_t*>(zero) - cursor_));
    cursor_ += text.size() + 1;
    return text;
  }

 private:
  uint64_t LongUleb() {
    uint64_t value = 0;
    for (unsigned shift = 0; cursor_ != end_; shift += 7) {
      const uint8_t byte = *cursor_++;
      if (shift < 64) {
        value |= uint64_t{byte & 0x7FU} << shift;
      }
      if (byte < 0x80) {
        return value;
      }
    }
    Fail();
    return 0;
  }

  const uint8_t* begin_ = nullptr;
  const uint8_t* cursor_ = nullptr;
  const uint8_t* end_ = nullptr;
  bool failed_ = false;
};

// The text at `offset` of a string section; empty when there is none. Text that does not end within
// `limit` is damaged or hostile and counts as none: looking for its end again and again would take
// for ever.
inline std::string_view TextAt(std::span<const std::byte> section, uint64_t offset,
                               uint64_t limit = 65536) {
  ByteReader reader(section, offset);
  if (reader.ok() && reader.remaining() > limit) {
    reader.EndAt(offset + limit);
  }
  return reader.CString();
}

}  // namespace whyslow
