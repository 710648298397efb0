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
// Large sections of real programs shrink to a fifth or so; a large one that claims much more is
// made to exhaust memory.
constexpr uint64_t kLargeSize = uint64_t{64} << 20;
constexpr uint64_t kMaxLargeRatio = 100;

absl::Status Bad(std::string_view what) {
  return MakeStatus(absl::StatusCode::kInvalidArgument, what);
}

std::string_view TextOf(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

absl::Status CheckSize(uint64_t plain_size, size_t packed_size) {
  const uint64_t max_ratio = plain_size > kLargeSize ? kMaxLargeRatio : kMaxRatio;
  if (plain_size > kMaxPlainSize || plain_size / max_ratio > packed_size) {
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

absl::StatusOr<std::string> DecompressElfSection(std::span<const std::byte> section) {
  Elf64_Chdr header;
  if (section.size() < sizeof(header)) {
    return Bad("compressed section without its header");
  }
  std::memcpy(&header, section.data(), sizeof(header));
  const std::string_view packed = TextOf(section).substr(sizeof(header));
  switch (header.ch_type) {
    case ELFCOMPRESS_ZLIB:
      return Inflate(packed, header.ch_size);
    case ELFCOMPRESS_ZSTD:
      return UnpackZstd(packed, header.ch_size);
    default:
      return Bad("unknown compression");
  }
}

absl::StatusOr<std::string> DecompressZdebugSection(std::span<const std::byte> section) {
  constexpr size_t kHeader = 12;
  if (!TextOf(section).starts_with("ZLIB") || section.size() < kHeader) {
    return Bad("no ZLIB header");
  }
  uint64_t size = 0;
  for (size_t i = 4; i < kHeader; ++i) {
    size = size << 8 | std::to_integer<uint64_t>(section[i]);
  }
  return Inflate(TextOf(section).substr(kHeader), size);
}

}  // namespace whyslow
