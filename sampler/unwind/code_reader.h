// The instruction bytes around an address, from the module's file or the target's memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/address.h"
#include "sampler/target/address_space.h"
#include "sampler/target/target_memory.h"

namespace whyslow {

// Some code before and from an address on; either part may be short or empty.
class CodeWindow {
 public:
  static constexpr size_t kBefore = 16;
  static constexpr size_t kAfter = 32;

  // nullptr mapping: memory is asked.
  static CodeWindow Read(RuntimeAddress at, const Mapping* mapping, const TargetMemory& memory);
  // For tests: `at` is an index into the bytes.
  static CodeWindow FromBytes(std::span<const uint8_t> bytes, size_t at);

  // The bytes at `offset` from the address are these. Unknown bytes equal nothing.
  template <class... Byte>
  bool Has(int offset, Byte... bytes) const {
    const std::array<uint8_t, sizeof...(bytes)> wanted{static_cast<uint8_t>(bytes)...};
    return HasBytes(offset, wanted);
  }
  // 0 when it is not known. Words are little-endian.
  uint8_t Byte(int offset) const { return Known(offset, 1) ? bytes_[Index(offset)] : uint8_t{0}; }
  uint32_t Word(int offset) const;
  bool empty() const { return before_ == 0 && after_ == 0; }

 private:
  bool HasBytes(int offset, std::span<const uint8_t> wanted) const;
  bool Known(int offset, size_t size) const {
    return offset >= -static_cast<int>(before_) &&
           offset + static_cast<int>(size) <= static_cast<int>(after_);
  }
  static size_t Index(int offset) {
    return kBefore + static_cast<size_t>(offset);  // modulo 2^64: offsets may be negative
  }

  // [kBefore - before_, kBefore + after_) is known; the address is at kBefore.
  std::array<uint8_t, kBefore + kAfter> bytes_{};
  size_t before_ = 0;
  size_t after_ = 0;
};

// Code read piece by piece, for those who follow it.
class CodeStream {
 public:
  // Borrows both.
  CodeStream(const Mapping* mapping, const TargetMemory& memory)
      : mapping_(mapping), memory_(memory) {}

  // The next bytes from there, 15 at most, fewer where the code ends.
  std::span<const uint8_t> At(uint64_t address);
  // Constants of the same module, such as tables of jumps. Returns how many bytes are known.
  size_t ReadConstants(uint64_t address, std::span<uint8_t> into) const;
  bool IsCode(uint64_t address) const {
    return mapping_ == nullptr || mapping_->Contains(RuntimeAddress(address));
  }
  // Runtime address of ELF address 0.
  uint64_t load_bias() const { return mapping_ != nullptr ? 0 - mapping_->elf_bias : 0; }

 private:
  static constexpr size_t kBytes = 15;  // the longest instruction of x86-64

  const Mapping* mapping_;
  const TargetMemory& memory_;
  std::array<uint8_t, 512> bytes_;
  uint64_t start_ = 0;
  size_t size_ = 0;
};

// Up to into.size() bytes of code from this address on; returns how many.
size_t ReadCode(RuntimeAddress from, const Mapping* mapping, const TargetMemory& memory,
                std::span<uint8_t> into);

}  // namespace whyslow
