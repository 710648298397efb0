// Reads machine words of the target's stack: quickly from a sample's copy, else through the seam.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>

#include "base/address.h"
#include "sampler/target/target_memory.h"

namespace whyslow {

class WordReader {
 public:
  explicit WordReader(const TargetMemory& memory)
      : memory_(memory), copy_(memory.Copy()), copy_start_(copy_.start.value()) {}

  std::optional<uint64_t> Word(uint64_t address) {
    const uint64_t offset = address - copy_start_;
    if (copy_.bytes.size() >= sizeof(uint64_t) && offset <= copy_.bytes.size() - sizeof(uint64_t)) {
      uint64_t value;
      std::memcpy(&value, copy_.bytes.data() + offset, sizeof(value));
      return value;
    }
    return Beyond(address);
  }
  // One, two, four or eight bytes, zero-extended.
  std::optional<uint64_t> Bytes(uint64_t address, size_t size) {
    uint64_t value = 0;
    const size_t got = memory_.Read(RuntimeAddress(address),
                                    std::as_writable_bytes(std::span(&value, 1)).first(size));
    if (got != size) {
      failed_at_ = address;
      return std::nullopt;
    }
    return value;
  }

  // Where the last read failed lies just past the copy, where the rest of the stack must be.
  bool failed_beyond_copy() const {
    // Stacks are rarely larger; pointers to other things rarely nearer.
    constexpr uint64_t kNearby = uint64_t{256} << 20;
    const uint64_t end = copy_start_ + copy_.bytes.size();
    return !copy_.bytes.empty() && failed_at_ + sizeof(uint64_t) > end &&
           failed_at_ - copy_start_ < copy_.bytes.size() + kNearby;
  }
  bool has_copy() const { return !copy_.bytes.empty(); }

 private:
  std::optional<uint64_t> Beyond(uint64_t address) { return Bytes(address, sizeof(uint64_t)); }

  const TargetMemory& memory_;
  TargetMemory::Bytes copy_;
  uint64_t copy_start_;
  uint64_t failed_at_ = 0;
};

}  // namespace whyslow
