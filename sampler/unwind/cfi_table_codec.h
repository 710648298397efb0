// A compiled table as bytes and back, for the cache on disk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "sampler/unwind/cfi_table.h"

namespace whyslow {

// Which module's table it is.
struct CfiTableKey {
  std::string build_id;  // lower-case hex
  // A stripped copy has the build ID of the whole file, and may have less CFI.
  uint64_t file_size = 0;
  // Who owns the module's file. Anybody can write any build ID into a file of theirs: what they
  // gain is a wrong table for their own files only.
  uint32_t owner = 0;
  uint16_t machine = 0;  // EM_*

  bool operator==(const CfiTableKey&) const = default;
};

// Grows whenever the same CFI would give another table or other bytes; a test notices.
inline constexpr uint32_t kCfiTableVersion = 1;

// Rows take two to four bytes instead of eight. A checksum covers all of it.
std::string EncodeCfiTable(const CfiTable& table, const CfiTableKey& key);
// nullopt for anything but the bytes that Encode gave for this key: other modules and versions,
// damage. Even if the checksum is forged, every index in a table that is given out leads somewhere.
std::optional<CfiTable> DecodeCfiTable(std::span<const std::byte> bytes, const CfiTableKey& key);

}  // namespace whyslow
