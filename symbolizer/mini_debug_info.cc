#include "symbolizer/mini_debug_info.h"

#include <lzma.h>

#include <algorithm>
#include <string>
#include <utility>

namespace whyslow {
namespace {

// Symbol tables of the largest programs take a few tens of megabytes.
constexpr size_t kMaxPlain = size_t{256} << 20;
constexpr uint64_t kMaxDecoderMemory = uint64_t{128} << 20;

std::string Unpack(std::span<const std::byte> packed) {
  lzma_stream stream = LZMA_STREAM_INIT;
  if (lzma_stream_decoder(&stream, kMaxDecoderMemory, 0) != LZMA_OK) {
    return {};
  }
  std::string plain;
  stream.next_in = reinterpret_cast<const uint8_t*>(packed.data());
  stream.avail_in = packed.size();
  lzma_ret result = LZMA_OK;
  while (result == LZMA_OK && plain.size() < kMaxPlain) {
    const size_t done = plain.size();
    plain.resize(std::max(size_t{64} << 10, done * 2));
    stream.next_out = reinterpret_cast<uint8_t*>(plain.data()) + done;
    stream.avail_out = plain.size() - done;
    result = lzma_code(&stream, LZMA_FINISH);
    plain.resize(plain.size() - stream.avail_out);
  }
  lzma_end(&stream);
  return result == LZMA_STREAM_END ? plain : std::string();
}

}  // namespace

std::optional<ElfFile> ReadMiniDebugInfo(const ElfFile& elf) {
  const ElfSection* section = elf.FindSection(".gnu_debugdata");
  if (section == nullptr) {
    return std::nullopt;
  }
  const absl::StatusOr<SectionBytes> packed = elf.ReadSection(*section);
  if (!packed.ok()) {
    return std::nullopt;
  }
  std::string image = Unpack(packed->bytes());
  absl::StatusOr<ElfFile> inner = ElfFile::FromBytes(std::move(image), elf.name());
  return inner.ok() ? std::optional(*std::move(inner)) : std::nullopt;
}

}  // namespace whyslow
