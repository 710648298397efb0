#include "elf/decompress.h"

#include <elf.h>
#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include "tests/support/elf_image.h"

namespace whyslow {
namespace {

std::span<const std::byte> AsBytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

std::string Zlib(const std::string& plain) {
  uLongf size = compressBound(plain.size());
  std::string packed(size, '\0');
  compress(reinterpret_cast<Bytef*>(packed.data()), &size,
           reinterpret_cast<const Bytef*>(plain.data()), plain.size());
  packed.resize(size);
  return packed;
}

std::string Zstd(const std::string& plain) {
  std::string packed(ZSTD_compressBound(plain.size()), '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), plain.data(), plain.size(), 3));
  return packed;
}

std::string WithHeader(uint32_t type, uint64_t plain_size, const std::string& packed) {
  const Elf64_Chdr header{
      .ch_type = type, .ch_reserved = 0, .ch_size = plain_size, .ch_addralign = 1};
  return BytesOf(header) + packed;
}

constexpr uint32_t kZstd = 2;
const std::string kText = "some debug information, some debug information";

TEST(Decompress, ReadsZlib) {
  EXPECT_EQ(*DecompressElfSection(AsBytes(WithHeader(ELFCOMPRESS_ZLIB, kText.size(), Zlib(kText)))),
            kText);
}

TEST(Decompress, ReadsZstd) {
  EXPECT_EQ(*DecompressElfSection(AsBytes(WithHeader(kZstd, kText.size(), Zstd(kText)))), kText);
}

TEST(Decompress, ReadsTheOldForm) {
  const std::string size("\0\0\0\0\0\0\0\x2E", 8);

  EXPECT_EQ(*DecompressZdebugSection(AsBytes("ZLIB" + size + Zlib(kText))), kText);
}

TEST(Decompress, AnUnknownMethodIsAnError) {
  EXPECT_FALSE(DecompressElfSection(AsBytes(WithHeader(77, 4, "abcd"))).ok());
}

TEST(Decompress, EveryTruncationIsAnError) {
  const std::string zlib = WithHeader(ELFCOMPRESS_ZLIB, kText.size(), Zlib(kText));
  const std::string zstd = WithHeader(kZstd, kText.size(), Zstd(kText));

  for (size_t size = 0; size + 1 < zlib.size(); ++size) {
    EXPECT_FALSE(DecompressElfSection(AsBytes(zlib.substr(0, size))).ok()) << size;
  }
  for (size_t size = 0; size + 1 < zstd.size(); ++size) {
    EXPECT_FALSE(DecompressElfSection(AsBytes(zstd.substr(0, size))).ok()) << size;
  }
  EXPECT_FALSE(DecompressZdebugSection(AsBytes("ZLIB\0\0")).ok());
  EXPECT_FALSE(DecompressZdebugSection({}).ok());
}

TEST(Decompress, AWrongPlainSizeIsAnError) {
  for (const uint64_t wrong : {kText.size() - 1, kText.size() + 1}) {
    EXPECT_FALSE(
        DecompressElfSection(AsBytes(WithHeader(ELFCOMPRESS_ZLIB, wrong, Zlib(kText)))).ok());
    EXPECT_FALSE(DecompressElfSection(AsBytes(WithHeader(kZstd, wrong, Zstd(kText)))).ok());
  }
}

TEST(Decompress, AnImpossibleSizeIsRefusedBeforeItIsAllocated) {
  EXPECT_FALSE(
      DecompressElfSection(AsBytes(WithHeader(ELFCOMPRESS_ZLIB, ~uint64_t{0}, Zlib(kText)))).ok());
  EXPECT_FALSE(
      DecompressElfSection(AsBytes(WithHeader(kZstd, uint64_t{1} << 32, Zstd(kText)))).ok());
}

}  // namespace
}  // namespace whyslow
