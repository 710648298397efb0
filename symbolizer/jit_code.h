// Code made at run time: which function lies where, and the names of wanted addresses in it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace whyslow {

struct JitLine {
  uint64_t address = 0;  // from here on, up to the next one
  int64_t line = 0;
  std::string_view file;
};

// Texts belong to whoever was read.
struct JitCode {
  uint64_t start = 0;
  uint64_t size = 0;
  std::string_view name;
  // By address, before the code was moved; null: not told. Shared, since code may move often.
  std::shared_ptr<const std::vector<JitLine>> lines;
  uint64_t moved = 0;  // bytes, modulo 2^64
};

struct JitHit {
  std::string name;  // empty: no code covers the address
  std::string file;
  int64_t line = 0;
};

// One hit for each of `wanted` (sorted runtime addresses). `code` is in order of time: where pieces
// overlap the later one holds, since code memory is used again.
std::vector<JitHit> FindJitCode(std::span<const JitCode> code, std::span<const uint64_t> wanted);

}  // namespace whyslow
