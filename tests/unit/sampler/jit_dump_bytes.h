// Writes jitdump files for tests, record by record.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>

#include "tests/unit/sampler/unwind/cfi_builder.h"

namespace whyslow {

inline constexpr uint64_t kDumpCode = 0x7f0000001000;
inline constexpr uint64_t kDumpCodeSize = 0x31;

template <class... Number>
inline std::string Numbers(Number... numbers) {
  std::string bytes;
  const auto append = [&](auto number) {
    char raw[sizeof(number)];
    std::memcpy(raw, &number, sizeof(number));
    bytes.append(raw, sizeof(number));
  };
  (append(numbers), ...);
  return bytes;
}

inline std::string DumpHeader() {
  return Numbers(uint32_t{0x4A695444}, uint32_t{1}, uint32_t{40}, uint32_t{62}, uint32_t{0},
                 uint32_t{4711}, uint64_t{0}, uint64_t{0});
}

inline std::string DumpRecord(uint32_t type, const std::string& body) {
  return Numbers(type, static_cast<uint32_t>(16 + body.size()), uint64_t{0}) + body;
}

inline std::string DumpLoad(uint64_t start, uint64_t index, size_t code_bytes = kDumpCodeSize) {
  return DumpRecord(0, Numbers(uint64_t{0}, start, start, kDumpCodeSize, index) + "a name" + '\0' +
                           std::string(code_bytes, '\x90'));
}

inline std::string DumpMove(uint64_t from, uint64_t to, uint64_t index) {
  return DumpRecord(1, Numbers(uint64_t{0}, to, from, to, kDumpCodeSize, index));
}

inline std::string DumpUnwinding(uint64_t start, int frame) {
  EhFrameBuilder builder(start + (kDumpCodeSize + 7) / 8 * 8);
  builder.AddFunction(AddUsualCommon(builder), start, kDumpCodeSize, {0x0e, frame});
  builder.AddTerminator();
  const std::string eh_frame(builder.bytes().begin(), builder.bytes().end());
  const std::string index(20, '\1');
  return DumpRecord(
      4, Numbers(uint64_t{eh_frame.size() + index.size()}, uint64_t{index.size()}, uint64_t{0}) +
             eh_frame + index + std::string(5, '\0'));
}

}  // namespace whyslow
