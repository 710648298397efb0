#include "symbolizer/elf_symbols.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/elf_image.h"

namespace whyslow {
namespace {

using ::testing::ElementsAre;

// .text at 0x1000, 0x1000 bytes long.
class SymbolImage {
 public:
  SymbolImage& Add(const std::string& name, uint64_t start, uint64_t size, unsigned type = STT_FUNC,
                   unsigned binding = STB_GLOBAL) {
    Elf64_Sym row{};
    row.st_name = static_cast<uint32_t>(names_.size());
    row.st_info = static_cast<unsigned char>(ELF64_ST_INFO(binding, type));
    row.st_shndx = 1;
    row.st_value = start;
    row.st_size = size;
    names_ += name + '\0';
    rows_ += BytesOf(row);
    return *this;
  }

  std::vector<std::string> NamesOf(const std::vector<uint64_t>& wanted) const {
    ElfImage image;
    image.sections = {{.name = ".text",
                       .flags = SHF_ALLOC | SHF_EXECINSTR,
                       .address = 0x1000,
                       .bytes = std::string(0x1000, '\0')},
                      {.name = ".symtab", .type = SHT_SYMTAB, .bytes = rows_, .link = 3},
                      {.name = ".strtab", .type = SHT_STRTAB, .bytes = names_}};
    const absl::StatusOr<ElfFile> elf = ElfFile::FromBytes(image.Build(), "the file");
    std::vector<SymbolHit> hits(wanted.size());
    FindSymbols(*elf, ".symtab", wanted, hits);
    std::vector<std::string> names;
    for (const SymbolHit& hit : hits) {
      names.push_back(hit.name);
    }
    return names;
  }

 private:
  std::string names_ = std::string(1, '\0');
  std::string rows_ = std::string(sizeof(Elf64_Sym), '\0');
};

TEST(ElfSymbols, ASymbolCoversItsSizeAndNoMore) {
  SymbolImage image;
  image.Add("one", 0x1000, 0x10).Add("two", 0x1020, 0x10);

  EXPECT_THAT(image.NamesOf({0xFFF, 0x1000, 0x100F, 0x1010, 0x1020, 0x1030}),
              ElementsAre("", "one", "one", "", "two", ""));
}

TEST(ElfSymbols, MarksOfCodeAndDataAreNoNamesButSwiftsAre) {
  SymbolImage image;
  image.Add("$x", 0x1000, 0).Add("$d.12", 0x1010, 0).Add("$s4shop4leafyS2uF", 0x1020, 0x10);

  EXPECT_THAT(image.NamesOf({0x1000, 0x1010, 0x1020}), ElementsAre("", "", "$s4shop4leafyS2uF"));
}

TEST(ElfSymbols, ALabelReachesToTheNextSymbolOrTheEndOfItsSection) {
  SymbolImage image;
  image.Add("start", 0x1000, 0, STT_NOTYPE).Add("next", 0x1100, 0x10).Add("last", 0x1200, 0);

  EXPECT_THAT(image.NamesOf({0x1050, 0x1180, 0x1FFF, 0x2000}),
              ElementsAre("start", "", "last", ""));
}

TEST(ElfSymbols, ALabelInsideAFunctionDoesNotHideIt) {
  SymbolImage image;
  image.Add("function", 0x1000, 0x100).Add("label", 0x1010, 0, STT_NOTYPE, STB_LOCAL);

  EXPECT_THAT(image.NamesOf({0x1010, 0x1020}), ElementsAre("function", "function"));
}

TEST(ElfSymbols, TheInnermostOfNestedSymbolsIsTaken) {
  SymbolImage image;
  image.Add("outer", 0x1000, 0x100).Add("inner", 0x1010, 0x10);

  EXPECT_THAT(image.NamesOf({0x1000, 0x1010, 0x1020}), ElementsAre("outer", "inner", "outer"));
}

TEST(ElfSymbols, OfAliasesTheKnownGlobalNameIsTaken) {
  SymbolImage image;
  image.Add("__libc_write", 0x1000, 0x10)
      .Add("write", 0x1000, 0x10, STT_FUNC, STB_WEAK)
      .Add("local_write", 0x1000, 0x10, STT_FUNC, STB_LOCAL)
      .Add("a", 0x1000, 0x10, STT_NOTYPE);

  EXPECT_THAT(image.NamesOf({0x1008}), ElementsAre("write"));
}

TEST(ElfSymbols, VersionsAreCutOff) {
  SymbolImage image;
  image.Add("memcpy@@GLIBC_2.14", 0x1000, 0x10);

  EXPECT_THAT(image.NamesOf({0x1000}), ElementsAre("memcpy"));
}

TEST(ElfSymbols, DataAndMappingSymbolsAreNoFunctions) {
  SymbolImage image;
  image.Add("table", 0x1000, 0x100, STT_OBJECT).Add("$x", 0x1000, 0, STT_NOTYPE, STB_LOCAL);

  EXPECT_THAT(image.NamesOf({0x1000}), ElementsAre(""));
}

TEST(ElfSymbols, ASizeThatWrapsAroundIsCut) {
  SymbolImage image;
  image.Add("huge", 0x1000, ~uint64_t{0}).Add("normal", 0x1100, 0x10);

  EXPECT_THAT(image.NamesOf({0x10FF, 0x1100, 0x5000}), ElementsAre("huge", "normal", "huge"));
}

}  // namespace
}  // namespace whyslow
