#include "elf/decompress.h"

#include <elf.h>
#include <zlib.h>
#include <zstd.h>

#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/status.h"

#ifndef ELFCOMPRESS_ZSTD
#define ELFCOMPRESS_ZSTD 2
#endif

namespace whyslow {
namespace {

constexpr uint64_t kMaxPlainSize = uint64_t{4} << 30;
// Deflate cannot do better than 1032:1; zstd can, but debug information never does. A section that
// claims more is hostile, and we would allocate what it claims.
constexpr uint64_t kMaxRatio = 1100;

absl::Status Bad(std::string_view what) {
  return MakeStatus(absl::StatusCode::kInvalidArgument, what);
}

absl::Status CheckSize(uint64_t plain_size, size_t packed_size) {
  if (plain_size > kMaxPlainSize || plain_size / kMaxRatio > packed_size) {
    return Bad("compressed section claims an impossible size");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Inflate(std::string_view packed, uint64_t plain_size) {
  RETURN_IF_ERROR(CheckSize(plain_size, packed.size()));
  std::string plain(plain_size, '\0');
  uLongf got = plain_size;
  if (uncompress(reinterpret_cast<Bytef*>(plain.data()), &got,
                 reinterpret_cast<const Bytef*>(packed.data()), packed.size()) != Z_OK ||
      got != plain_size) {
    return Bad("zlib data is damaged");
  }
  return plain;
}

absl::StatusOr<std::string> UnpackZstd(std::string_view packed, uint64_t plain_size) {
  RETURN_IF_ERROR(CheckSize(plain_size, packed.size()));
  std::string plain(plain_size, '\0');
  const size_t got = ZSTD_decompress(plain.data(), plain.size(), packed.data(), packed.size());
  if (ZSTD_isError(got) != 0 || got != plain_size) {
    return Bad("zstd data is damaged");
  }
  return plain;
}

}  // namespace

absl::StatusOr<std::string> DecompressElfSection(const std::string& section) {
  Elf64_Chdr header;
  if (section.size() < sizeof(header)) {
    return Bad("compressed section without its header");
  }
  std::memcpy(&header, section.data(), sizeof(header));
  const std::string_view packed = std::string_view(section).substr(sizeof(header));
  switch (header.ch_type) {
    case ELFCOMPRESS_ZLIB:
      return Inflate(packed, header.ch_size);
    case ELFCOMPRESS_ZSTD:
      return UnpackZstd(packed, header.ch_size);
    default:
      return Bad("unknown compression");
  }
}

absl::StatusOr<std::string> DecompressZdebugSection(const std::string& section) {
  constexpr size_t kHeader = 12;
  if (section.size() < kHeader || section.compare(0, 4, "ZLIB") != 0) {
    return Bad("no ZLIB header");
  }
  uint64_t size = 0;
  for (size_t i = 4; i < kHeader; ++i) {
    size = size << 8 | static_cast<uint8_t>(section[i]);
  }
  return Inflate(std::string_view(section).substr(kHeader), size);
}

}  // namespace whyslow
