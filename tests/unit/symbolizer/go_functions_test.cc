#include "symbolizer/go_functions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "symbolizer/elf_symbols.h"
#include "tests/unit/symbolizer/symbol_program.h"

namespace whyslow {
namespace {

using ::testing::IsEmpty;

std::string GoProgram(const std::string& name) {
  return std::string(WHYSLOW_BINARY_DIR) + "/tests/programs/go/" + name;
}

// What Go's own table leaves out: which calling convention, which types a generic is made for.
std::string Plain(std::string symbol) {
  for (const std::string_view suffix : {".abi0", ".abiinternal"}) {
    if (symbol.ends_with(suffix)) {
      symbol.resize(symbol.size() - suffix.size());
    }
  }
  // Go's own spelling of names from assembly.
  constexpr std::string_view kDot = "·";
  for (size_t at = symbol.find(kDot); at != std::string::npos; at = symbol.find(kDot)) {
    symbol.replace(at, kDot.size(), ".");
  }
  return symbol.substr(0, symbol.find('['));
}

std::vector<uint64_t> CodeAddresses(const ElfFile& elf) {
  std::vector<uint64_t> wanted;
  const ElfSection* text = elf.FindSection(".text");
  for (uint64_t at = 0; text != nullptr && at < text->size; at += 48) {
    wanted.push_back(text->address.value() + at);
  }
  return wanted;
}

NamedProgram NameAddresses(const ModuleFileRef& module, const std::vector<uint64_t>& wanted) {
  NamedProgram named;
  named.profile.strings.push_back(module->path());
  named.profile.modules.push_back({.kind = ModuleKind::kFile, .path = StringIndex(1)});
  for (const uint64_t address : wanted) {
    named.profile.locations.push_back({.module = ModuleIndex(0), .address = address});
  }
  named.report = Symbolize(named.profile, {{.module = ModuleIndex(0), .file = module}}, {});
  return named;
}

class GoFunctionsTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (access(GoProgram(GetParam()).c_str(), R_OK) != 0) {
      GTEST_SKIP() << "Go is not installed";
    }
  }
};

TEST_P(GoFunctionsTest, NamesAreThoseOfTheSymbolTable) {
  const ModuleFileRef full = OpenModule(GoProgram(GetParam()));
  const ModuleFileRef stripped = OpenModule(GoProgram(GetParam() + ".stripped"));
  ASSERT_EQ(stripped->elf()->FindSection(".symtab"), nullptr);
  const std::vector<uint64_t> wanted = CodeAddresses(*full->elf());
  std::vector<SymbolHit> symbols(wanted.size());
  FindSymbols(*full->elf(), ".symtab", wanted, symbols);

  const std::vector<GoHit> hits = FindGoFunctions(*stripped->elf(), wanted);

  size_t named = 0;
  std::vector<std::string> wrong;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (hits[i].name.empty() || symbols[i].name.empty()) {
      continue;
    }
    ++named;
    if (Plain(hits[i].name) != Plain(symbols[i].name)) {
      wrong.push_back(hits[i].name + ", symbol " + symbols[i].name);
    }
  }
  EXPECT_GT(named, 5'000U);
  EXPECT_GT(static_cast<double>(named), 0.95 * static_cast<double>(wanted.size()));
  EXPECT_THAT(wrong, IsEmpty());
}

TEST_P(GoFunctionsTest, LinesAreThoseOfDwarf) {
  const ModuleFileRef full = OpenModule(GoProgram(GetParam()));
  const std::vector<uint64_t> all = CodeAddresses(*full->elf());
  const std::vector<GoHit> hits =
      FindGoFunctions(*OpenModule(GoProgram(GetParam() + ".stripped"))->elf(), all);
  const Profile with_dwarf = NameAddresses(full, all).profile;

  size_t same = 0, compared = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    const std::vector<Line>& lines = with_dwarf.locations[i].lines;
    if (!hits[i].name.empty() && !lines.empty() && lines.front().line > 0) {
      ++compared;
      const Function& function = with_dwarf.FunctionAt(lines.front().function);
      same += lines.front().line == hits[i].line && with_dwarf.Text(function.file) == hits[i].file;
    }
  }
  EXPECT_GT(compared, 5'000U);
  EXPECT_GT(static_cast<double>(same), 0.98 * static_cast<double>(compared));
}

TEST_P(GoFunctionsTest, AStrippedProgramHasNamesFilesAndLines) {
  const ModuleFileRef stripped = OpenModule(GoProgram(GetParam() + ".stripped"));
  const std::vector<uint64_t> wanted = CodeAddresses(*stripped->elf());
  const NamedProgram program = NameAddresses(stripped, wanted);
  std::vector<std::string> names;
  for (const Location& location : program.profile.locations) {
    names.push_back(DescribeLines(program.profile, location));
  }
  EXPECT_THAT(names, ::testing::Contains(::testing::StartsWith("main.main main.go:")));
  EXPECT_LT(program.report.unresolved, program.report.locations / 20);
}

INSTANTIATE_TEST_SUITE_P(All, GoFunctionsTest, ::testing::Values("go_plain", "go_pie", "go_with_c"),
                         [](const auto& test) { return test.param; });

TEST(GoFunctions, OtherProgramsHaveNone) {
  const ModuleFileRef other = OpenModule("/proc/self/exe");
  const std::vector<uint64_t> wanted = {other->elf()->entry().value()};
  EXPECT_THAT(FindGoFunctions(*other->elf(), wanted)[0].name, IsEmpty());
}

TEST(GoFunctions, ADamagedTableNamesNothingOrSomethingButNeverCrashes) {
  if (access(GoProgram("go_plain.stripped").c_str(), R_OK) != 0) {
    GTEST_SKIP() << "Go is not installed";
  }
  const ModuleFileRef good = OpenModule(GoProgram("go_plain.stripped"));
  const std::vector<uint64_t> wanted = CodeAddresses(*good->elf());
  const ElfSection& table = *good->elf()->FindSection(".gopclntab");
  const absl::StatusOr<std::string> image =
      good->elf()->ReadBytes(0, static_cast<size_t>(good->elf()->file_size()));
  ASSERT_TRUE(image.ok());
  for (size_t at = 0; at < 72; ++at) {  // the whole header
    for (const char byte : {'\x00', '\xff', '\x7f'}) {
      std::string damaged = *image;
      damaged[static_cast<size_t>(table.file_offset) + at] = byte;
      const absl::StatusOr<ElfFile> elf = ElfFile::FromBytes(std::move(damaged), "damaged");
      ASSERT_TRUE(elf.ok());
      EXPECT_EQ(FindGoFunctions(*elf, wanted).size(), wanted.size());
    }
  }
}

}  // namespace
}  // namespace whyslow
