// The records of .eh_frame or .debug_frame: which code each describes, and with what instructions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/address.h"

namespace whyslow {

enum class CfiFormat : uint8_t { kEhFrame, kDebugFrame };

// Where the bytes come from. Borrowed: they have to outlive what is parsed from them.
struct CfiSource {
  CfiFormat format = CfiFormat::kEhFrame;
  std::span<const std::byte> bytes;
  ElfAddress address;                   // of the first byte; for pc-relative pointers
  std::optional<ElfAddress> data_base;  // for data-relative pointers: the GOT
  // Without a section header the size is a guess, and the zero record is the end.
  bool ends_at_zero_record = false;
};

// What the descriptions of many functions have in common.
struct CfiCommon {
  uint64_t code_align = 1;
  int64_t data_align = 1;
  uint8_t return_register = 0;
  uint8_t pointer_encoding = 0;
  bool has_augmentation_size = false;
  bool is_signal_frame = false;
  std::span<const std::byte> instructions;
};

struct CfiFunction {
  uint64_t start = 0;  // ELF address
  uint64_t size = 0;   // bytes, not 0
  uint32_t common = 0;
  uint32_t source = 0;  // for the caller's use: which of several sections
  // Into the section.
  size_t instructions_at = 0;
  size_t instructions_size = 0;

  uint64_t end() const { return start + size; }
};

struct CfiRecords {
  std::vector<CfiCommon> commons;
  std::vector<CfiFunction> functions;
};

// Records that cannot be understood are left out; nothing is read twice, so that the time is linear
// in the bytes, whatever they hold.
CfiRecords ParseCfi(const CfiSource& source);

// A pointer of the DW_EH_PE kind. nullopt: omitted, indirect, or a base that we do not have.
class ByteReader;
std::optional<uint64_t> ReadEncodedPointer(ByteReader& cursor, uint8_t encoding,
                                           ElfAddress cursor_start,
                                           std::optional<ElfAddress> data_base);

}  // namespace whyslow
