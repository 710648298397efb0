// Target memory that a test writes word by word.
#pragma once

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <map>
#include <vector>

#include "sampler/target/target_memory.h"

namespace whyslow {

class FakeMemory final : public TargetMemory {
 public:
  FakeMemory() = default;
  // Words from `start` upwards.
  FakeMemory(uint64_t start, std::initializer_list<uint64_t> words) { Put(start, words); }

  void Put(uint64_t start, std::initializer_list<uint64_t> words) {
    for (const uint64_t word : words) {
      for (unsigned i = 0; i < 8; ++i) {
        bytes_[start++] = static_cast<std::byte>(word >> (8 * i));
      }
    }
  }

  size_t Read(RuntimeAddress from, std::span<std::byte> into) const override {
    size_t done = 0;
    for (auto at = bytes_.find(from.value());
         done < into.size() && at != bytes_.end() && at->first == from.value() + done; ++at) {
      into[done++] = at->second;
    }
    return done;
  }

 private:
  std::map<uint64_t, std::byte> bytes_;
};

}  // namespace whyslow
