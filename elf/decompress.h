// Compressed debug sections: zlib and zstd with an ELF header, and the older .zdebug form.
#pragma once

#include <absl/status/statusor.h>

#include <cstddef>
#include <span>
#include <string>

namespace whyslow {

// `section` begins with an Elf64_Chdr. The result has exactly ch_size bytes, at most 4 GiB.
absl::StatusOr<std::string> DecompressElfSection(std::span<const std::byte> section);

// `section` begins with "ZLIB" and its plain size as 8 bytes, big-endian.
absl::StatusOr<std::string> DecompressZdebugSection(std::span<const std::byte> section);

}  // namespace whyslow
