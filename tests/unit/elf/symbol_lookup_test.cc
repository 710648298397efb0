#include "elf/symbol_lookup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/elf_image.h"

namespace whyslow {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::IsEmpty;
using ::testing::SizeIs;

struct Row {
  std::string name;
  uint8_t type = STT_FUNC;
  uint16_t section = 1;
  uint64_t value = 0x1000;
  uint64_t size = 16;
};

class SymbolTableFile {
 public:
  void Add(const Row& row) {
    Elf64_Sym symbol{};
    symbol.st_name = static_cast<uint32_t>(names_.size());
    symbol.st_info = ELF64_ST_INFO(STB_GLOBAL, row.type);
    symbol.st_shndx = row.section;
    symbol.st_value = row.value;
    symbol.st_size = row.size;
    names_ += row.name + '\0';
    rows_ += BytesOf(symbol);
  }
  void AddNameless(uint32_t name) {
    Elf64_Sym symbol{};
    symbol.st_name = name;
    symbol.st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC);
    symbol.st_shndx = 1;
    rows_ += BytesOf(symbol);
  }

  std::string Build(uint32_t link = 1) const {
    ElfImage image;
    image.sections.push_back({.name = ".dynstr", .type = SHT_STRTAB, .bytes = names_});
    image.sections.push_back({.name = ".dynsym",
                              .type = SHT_DYNSYM,
                              .bytes = rows_,
                              .link = link,
                              .entry_size = sizeof(Elf64_Sym)});
    return image.Build();
  }

 private:
  std::string names_ = std::string(1, '\0');
  std::string rows_ = BytesOf(Elf64_Sym{});
};

std::vector<NamedSymbol> Find(const std::string& image, std::string_view name) {
  const absl::StatusOr<ElfFile> elf = ElfFile::FromBytes(image, "file");
  EXPECT_TRUE(elf.ok());
  return FindSymbolsByName(*elf, ".dynsym",
                           [name](std::string_view candidate) { return candidate == name; });
}

TEST(SymbolLookup, ASymbolHasAddressAndSize) {
  SymbolTableFile file;
  file.Add({.name = "other"});
  file.Add({.name = "wanted", .value = 0x2000, .size = 24});
  file.Add({.name = "data", .type = STT_OBJECT, .value = 0x3000});

  const std::vector<NamedSymbol> found = Find(file.Build(), "wanted");

  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].name, "wanted");
  EXPECT_EQ(found[0].address, ElfAddress(0x2000));
  EXPECT_EQ(found[0].size, 24U);
  EXPECT_TRUE(found[0].is_code);
  ASSERT_THAT(Find(file.Build(), "data"), SizeIs(1));
  EXPECT_FALSE(Find(file.Build(), "data")[0].is_code);
}

TEST(SymbolLookup, TheVersionIsNoPartOfTheName) {
  SymbolTableFile file;
  file.Add({.name = "wanted@@V_1"});

  EXPECT_THAT(Find(file.Build(), "wanted"), ElementsAre(Field(&NamedSymbol::name, "wanted")));
}

TEST(SymbolLookup, WhatIsDefinedElsewhereIsNotHere) {
  SymbolTableFile file;
  file.Add({.name = "wanted", .section = SHN_UNDEF});
  file.Add({.name = "wanted", .type = STT_TLS});
  file.Add({.name = "wanted", .type = STT_FILE});

  EXPECT_THAT(Find(file.Build(), "wanted"), IsEmpty());
}

TEST(SymbolLookup, EverySymbolOfThatNameIsFound) {
  SymbolTableFile file;
  file.Add({.name = "wanted", .value = 1});
  file.Add({.name = "wanted", .value = 2});

  EXPECT_THAT(Find(file.Build(), "wanted"), SizeIs(2));
}

TEST(SymbolLookup, AtMostAFewThousandAreFound) {
  SymbolTableFile file;
  for (int i = 0; i < 5000; ++i) {
    file.Add({.name = "wanted"});
  }

  EXPECT_THAT(Find(file.Build(), "wanted"), SizeIs(4096));
}

TEST(SymbolLookup, DamagedTablesHoldNothing) {
  SymbolTableFile file;
  file.AddNameless(0xffffffff);
  file.AddNameless(0);
  EXPECT_THAT(Find(file.Build(), ""), IsEmpty());
  EXPECT_THAT(Find(file.Build(/*link=*/99), "wanted"), IsEmpty());
  EXPECT_THAT(Find(ElfImage().Build(), "wanted"), IsEmpty());
}

}  // namespace
}  // namespace whyslow
