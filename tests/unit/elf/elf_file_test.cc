#include "elf/elf_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/support/elf_image.h"

namespace whyslow {
namespace {

using ::testing::HasSubstr;

UniqueFd FileOf(const std::string& bytes) {
  UniqueFd fd(memfd_create("elf", MFD_CLOEXEC));
  EXPECT_EQ(write(fd.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  return fd;
}

std::string MessageOf(const std::string& image) {
  return std::string(ElfFile::FromBytes(image, "the file").status().message());
}

std::string TextOf(const SectionBytes& bytes) {
  return {reinterpret_cast<const char*>(bytes.bytes().data()), bytes.size()};
}

Elf64_Phdr CodeSegment(uint64_t offset, uint64_t address, uint64_t size, uint32_t flags) {
  Elf64_Phdr row{};
  row.p_type = PT_LOAD;
  row.p_flags = flags;
  row.p_offset = offset;
  row.p_vaddr = address;
  row.p_filesz = size;
  row.p_memsz = size;
  return row;
}

TEST(ElfFile, AnEmptyFileIsNoElfFile) { EXPECT_THAT(MessageOf(""), HasSubstr("no ELF magic")); }

TEST(ElfFile, AScriptIsNoElfFile) {
  EXPECT_THAT(MessageOf("#!/bin/sh\necho hello world\n"), HasSubstr("no ELF magic"));
}

TEST(ElfFile, A32BitFileSaysThatItIsOne) {
  ElfImage image;
  image.header.e_ident[EI_CLASS] = ELFCLASS32;

  EXPECT_THAT(MessageOf(image.Build()), HasSubstr("32-bit"));
}

TEST(ElfFile, ABigEndianFileSaysThatItIsOne) {
  ElfImage image;
  image.header.e_ident[EI_DATA] = ELFDATA2MSB;

  EXPECT_THAT(MessageOf(image.Build()), HasSubstr("big-endian"));
}

TEST(ElfFile, FindsSectionsAndTheirBytes) {
  ElfImage image;
  image.sections.push_back({.name = ".text", .bytes = "code"});
  image.sections.push_back({.name = ".comment", .bytes = "made by hand"});

  const absl::StatusOr<ElfFile> elf = ElfFile::FromBytes(image.Build(), "the file");

  ASSERT_TRUE(elf.ok());
  const ElfSection* section = elf->FindSection(".comment");
  ASSERT_NE(section, nullptr);
  EXPECT_EQ(TextOf(*elf->ReadSection(*section)), "made by hand");
  EXPECT_EQ(elf->FindSection(".data"), nullptr);
}

TEST(ElfFile, EveryTruncationIsSurvived) {
  ElfImage image;
  image.segments.push_back(CodeSegment(0, 0x1000, 64, PF_R | PF_X));
  image.sections.push_back(
      {.name = ".note.gnu.build-id", .type = SHT_NOTE, .bytes = BuildIdNote("\x12\x34")});
  const std::string whole = image.Build();

  for (size_t size = 0; size < whole.size(); ++size) {
    const absl::StatusOr<ElfFile> elf = ElfFile::FromBytes(whole.substr(0, size), "the file");
    if (elf.ok()) {
      EXPECT_EQ(elf->FindSection(".note.gnu.build-id"), nullptr) << size;
    }
  }
  EXPECT_EQ(ElfFile::FromBytes(whole, "the file")->build_id(), "1234");
}

TEST(ElfFile, AFileWithoutItsSectionHeadersStillHasSegments) {
  ElfImage image;
  image.segments.push_back(CodeSegment(0, 0x4000, 128, PF_R | PF_X));
  const std::string whole = image.Build();

  const absl::StatusOr<ElfFile> elf =
      ElfFile::FromBytes(whole.substr(0, sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr)), "the file");

  ASSERT_TRUE(elf.ok());
  EXPECT_EQ(elf->segments().size(), 1U);
  EXPECT_TRUE(elf->sections().empty());
}

TEST(ElfFile, ASectionBeyondTheEndOfTheFileIsAnError) {
  ElfImage image;
  image.sections.push_back({.name = ".debug_info", .bytes = "x"});
  absl::StatusOr<ElfFile> elf = ElfFile::FromBytes(image.Build(), "the file");
  ASSERT_TRUE(elf.ok());
  ElfSection section = *elf->FindSection(".debug_info");

  section.size = ~uint64_t{0};
  EXPECT_THAT(std::string(elf->ReadSection(section).status().message()),
              HasSubstr("lies past its end"));
  section.size = 1;
  section.file_offset = ~uint64_t{0};
  EXPECT_FALSE(elf->ReadSection(section).ok());
}

TEST(ElfFile, MoreSectionsThanTheFileHasBytesAreIgnored) {
  ElfImage image;
  image.sections.push_back({.name = ".text", .bytes = "code"});
  std::string bytes = image.Build();
  auto* header = reinterpret_cast<Elf64_Ehdr*>(bytes.data());
  header->e_shnum = 0xFF00 - 1;

  const absl::StatusOr<ElfFile> elf = ElfFile::FromBytes(bytes, "the file");

  ASSERT_TRUE(elf.ok());
  EXPECT_TRUE(elf->sections().empty());
}

TEST(ElfFile, SectionNamesThatNeverEndAreCut) {
  ElfImage image;
  image.sections.push_back({.name = std::string(100'000, 'n'), .bytes = "x"});

  const absl::StatusOr<ElfFile> elf = ElfFile::FromBytes(image.Build(), "the file");

  ASSERT_TRUE(elf.ok());
  EXPECT_EQ(elf->sections()[1].name.size(), 256U);
}

TEST(ElfFile, TheBuildIdIsLowerCaseHex) {
  ElfImage image;
  image.sections.push_back(
      {.name = ".note.gnu.build-id", .type = SHT_NOTE, .bytes = BuildIdNote("\xAB\xCD\x01")});

  EXPECT_EQ(ElfFile::FromBytes(image.Build(), "the file")->build_id(), "abcd01");
}

TEST(ElfFile, AnOffsetBecomesAnAddressByTheExecutableSegment) {
  // lld lets neighbours share a page, so that one byte of the file belongs to two segments.
  ElfImage image;
  image.segments.push_back(CodeSegment(0x0, 0x0, 0x1100, PF_R));
  image.segments.push_back(CodeSegment(0x1000, 0x2000, 0x500, PF_R | PF_X));
  const absl::StatusOr<ElfFile> elf = ElfFile::FromBytes(image.Build(), "the file");
  ASSERT_TRUE(elf.ok());

  EXPECT_EQ(elf->AddressAtOffset(0x1080), ElfAddress(0x2080));
  EXPECT_EQ(elf->AddressAtOffset(0x80), std::nullopt);
  EXPECT_EQ(elf->AddressAtOffset(0x80, /*must_execute=*/false), ElfAddress(0x80));
}

TEST(ElfFile, NotesOfWrongSizesHaveNoBuildId) {
  const Elf64_Nhdr huge{.n_namesz = 0xFFFFFFFF, .n_descsz = 0xFFFFFFFF, .n_type = NT_GNU_BUILD_ID};
  const std::string note = BytesOf(huge) + "GNU";

  EXPECT_EQ(FindBuildIdNote(std::as_bytes(std::span(note))), "");
  EXPECT_EQ(FindBuildIdNote({}), "");
}

TEST(ElfFile, TheBuildIdIsFoundBehindOtherNotes) {
  const Elf64_Nhdr other{.n_namesz = 4, .n_descsz = 3, .n_type = NT_GNU_ABI_TAG};
  const std::string notes = BytesOf(other) + std::string("GNU\0abc\0", 8) + BuildIdNote("\x77\x88");

  EXPECT_EQ(FindBuildIdNote(std::as_bytes(std::span(notes))), "7788");
}

TEST(ElfFile, ALargeSectionOfAFileCutShortReadsAsZeros) {
  ElfImage image;
  image.sections.push_back({.name = ".debug_info", .bytes = std::string(size_t{9} << 20, 'd')});
  UniqueFd fd = FileOf(image.Build());
  const int keep = fd.get();
  const absl::StatusOr<ElfFile> elf = ElfFile::Open(std::move(fd), "the file");
  ASSERT_TRUE(elf.ok());
  const absl::StatusOr<SectionBytes> section = elf->ReadSection(*elf->FindSection(".debug_info"));
  ASSERT_TRUE(section.ok());

  ASSERT_EQ(ftruncate(keep, 4096), 0);

  EXPECT_EQ(section->bytes()[100], std::byte{'d'});
  EXPECT_EQ(section->bytes()[size_t{8} << 20], std::byte{0});
}

TEST(ElfFile, ASmallSectionOfAFileCutShortIsAnError) {
  ElfImage image;
  image.sections.push_back({.name = ".debug_info", .bytes = std::string(10'000, 'd')});
  UniqueFd fd = FileOf(image.Build());
  const int keep = fd.get();
  const absl::StatusOr<ElfFile> elf = ElfFile::Open(std::move(fd), "the file");
  ASSERT_TRUE(elf.ok());

  ASSERT_EQ(ftruncate(keep, 5000), 0);

  EXPECT_THAT(std::string(elf->ReadSection(*elf->FindSection(".debug_info")).status().message()),
              HasSubstr("cut short"));
}

}  // namespace
}  // namespace whyslow
