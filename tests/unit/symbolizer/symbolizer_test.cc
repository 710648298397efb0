#include "symbolizer/symbolizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/unit/symbolizer/symbol_program.h"

namespace whyslow {
namespace {

using ::testing::Contains;
using ::testing::TestWithParam;
using ::testing::Values;

std::string Checkout() {
  return "Innermost(int) " + PlaceOf("innermost") + " < shop::Cart<long>::Add(long) " +
         PlaceOf("middle") + " < shop::Checkout(int) " + PlaceOf("checkout");
}

// The same truth for every compiler, version and packing of full debug information.
class FullDebugInformation : public TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(ProgramPath(GetParam()))) {
      GTEST_SKIP() << "the tool that makes it is not installed";
    }
    named_ = NameEverything(GetParam());
  }
  NamedProgram named_;
};

TEST_P(FullDebugInformation, InlinedFramesHaveTheirNamesAndLines) {
  EXPECT_THAT(named_.All(), Contains(Checkout()));
  EXPECT_THAT(named_.All(),
              Contains("FromHeader(int) " + PlaceOf("header") + " < plain_c shop.cc:" +
                       std::to_string(std::stoi(PlaceOf("plain c").substr(8)) + 1)));
}

TEST_P(FullDebugInformation, FunctionsHaveTheirLines) {
  EXPECT_THAT(named_.All(), Contains("(anonymous namespace)::Hidden(int) " + PlaceOf("hidden")));
  EXPECT_THAT(named_.All(), Contains("Elsewhere(int) " + PlaceOf("elsewhere")));
  EXPECT_THAT(named_.All(), Contains("plain_c " + PlaceOf("plain c")));
}

TEST_P(FullDebugInformation, MethodsOfLocalClassesAreFound) {
  EXPECT_THAT(named_.All(), Contains("shop::Pay(int)::Purse::Take(int) " + PlaceOf("local class")));
}

TEST_P(FullDebugInformation, FunctionsKnowTheirSymbolFileAndStart) {
  const Function* checkout = named_.Find("shop::Checkout(int)");
  ASSERT_NE(checkout, nullptr);
  const Profile& profile = named_.profile;

  EXPECT_EQ(profile.Text(checkout->system_name), "_ZN4shop8CheckoutEi");
  EXPECT_EQ(profile.Text(checkout->file),
            std::string(WHYSLOW_SOURCE_DIR) + "/tests/programs/symbols/shop.cc");
  EXPECT_EQ("shop.cc:" + std::to_string(checkout->start_line), PlaceOf("checkout starts"));
  EXPECT_EQ(profile.Text(named_.Find("plain_c")->system_name), "");
}

TEST_P(FullDebugInformation, TheModuleSaysWhatItHas) {
  const Module& module = named_.profile.modules.front();

  EXPECT_TRUE(module.has_functions);
  EXPECT_TRUE(module.has_filenames);
  EXPECT_TRUE(module.has_line_numbers);
  EXPECT_TRUE(module.has_inline_frames);
}

INSTANTIATE_TEST_SUITE_P(Programs, FullDebugInformation,
                         Values("gcc_dwarf5", "gcc_dwarf4", "gcc_lto", "gcc_sections", "gcc_types",
                                "gcc_dwarf64", "clang_dwarf5", "clang_dwarf4", "zlib", "zdebug",
                                "gcc_split", "gcc_split4", "clang_split", "clang_split_package",
                                "gcc_split4_package", "dwz", "zstd"),
                         [](const auto& row) { return std::string(row.param); });

TEST(Symbolizer, LineTablesOnlyOfGccKeepInlinedFrames) {
  EXPECT_THAT(NameEverything("gcc_g1").All(), Contains(Checkout()));
}

TEST(Symbolizer, LineTablesOnlyOfClangTakeTheOuterNameFromTheSymbol) {
  if (!std::filesystem::exists(ProgramPath("clang_g1"))) {
    GTEST_SKIP() << "clang is not installed";
  }

  EXPECT_THAT(NameEverything("clang_g1").All(),
              Contains("Innermost " + PlaceOf("innermost") + " < Add " + PlaceOf("middle") +
                       " < shop::Checkout(int) " + PlaceOf("checkout")));
}

TEST(Symbolizer, WithoutDebugInformationTheSymbolTableNamesFunctions) {
  const NamedProgram named = NameEverything("gcc_no_debug");

  EXPECT_TRUE(named.Shows("shop::Checkout(int) :0"));
  EXPECT_TRUE(named.profile.modules.front().has_functions);
  EXPECT_FALSE(named.profile.modules.front().has_line_numbers);
}

TEST(Symbolizer, AStrippedProgramLeavesItsOwnFunctionsUnresolved) {
  const NamedProgram named = NameEverything("stripped");

  EXPECT_EQ(named.report.locations, named.profile.locations.size());
  EXPECT_EQ(named.report.unresolved, named.report.locations);
  EXPECT_FALSE(named.profile.modules.front().has_functions);
}

// A folder of its own for debug files, gone at the end.
class DebugFiles : public ::testing::Test {
 protected:
  DebugFiles() { std::filesystem::create_directories(folder_); }
  ~DebugFiles() override { std::filesystem::remove_all(folder_); }

  std::string CopyTo(const std::string& program, const std::string& path) {
    const std::filesystem::path target = folder_ / path;
    std::filesystem::create_directories(target.parent_path());
    std::filesystem::copy_file(ProgramPath(program), target);
    return target;
  }

  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("whyslow-symbols-" + std::to_string(getpid()));
};

TEST_F(DebugFiles, AreFoundByBuildId) {
  const std::string id = OpenModule(ProgramPath("stripped"))->elf()->build_id();
  ASSERT_GT(id.size(), 4U) << "the compiler writes no build ID";
  CopyTo("shop.debug", ".build-id/" + id.substr(0, 2) + "/" + id.substr(2) + ".debug");

  EXPECT_TRUE(NameEverything("stripped", {.debug_folders = {folder_}}).Shows(Checkout()));
}

TEST_F(DebugFiles, OfAnotherBuildAreNotUsed) {
  const std::string id = OpenModule(ProgramPath("stripped"))->elf()->build_id();
  CopyTo("gcc_dwarf4", ".build-id/" + id.substr(0, 2) + "/" + id.substr(2) + ".debug");

  const NamedProgram named = NameEverything("stripped", {.debug_folders = {folder_}});

  EXPECT_EQ(named.report.unresolved, named.report.locations);
}

TEST_F(DebugFiles, NameAModuleThatCouldNotBeOpened) {
  const ModuleFileRef module = OpenModule(ProgramPath("stripped"));
  const std::string id = module->elf()->build_id();
  CopyTo("shop.debug", ".build-id/" + id.substr(0, 2) + "/" + id.substr(2) + ".debug");
  Profile profile = EveryAddressOf(module);
  profile.strings.push_back(id);
  profile.modules.front().build_id = StringIndex(2);

  Symbolize(profile, {}, {.debug_folders = {folder_}});

  EXPECT_TRUE(NamedProgram{.profile = profile}.Shows(Checkout()));
}

TEST_F(DebugFiles, AreFoundByDebugLink) { EXPECT_TRUE(NameEverything("linked").Shows(Checkout())); }

TEST_F(DebugFiles, OfTheRightNameButAnotherChecksumAreNotUsed) {
  const std::string program = CopyTo("linked", "linked");
  CopyTo("gcc_dwarf4", ".debug/shop.debug");
  const ModuleFileRef module = OpenModule(program);
  Profile profile = EveryAddressOf(module);

  const SymbolizeReport report =
      Symbolize(profile, {{.module = ModuleIndex(0), .file = module}}, {});

  EXPECT_EQ(report.unresolved, report.locations);
}

TEST_F(DebugFiles, UnderTheDebugFolderMirrorTheFileTree) {
  const std::string program = CopyTo("linked", "bin/linked");
  CopyTo("shop.debug", "debug" + (folder_ / "bin").string() + "/shop.debug");
  const ModuleFileRef module = OpenModule(program);
  Profile profile = EveryAddressOf(module);

  Symbolize(profile, {{.module = ModuleIndex(0), .file = module}},
            {.debug_folders = {(folder_ / "debug").string()}});

  EXPECT_TRUE(NamedProgram{.profile = profile}.Shows(Checkout()));
}

TEST(Symbolizer, MiniDebugInfoNamesFunctionsOfAStrippedProgram) {
  if (!std::filesystem::exists(ProgramPath("mini"))) {
    GTEST_SKIP() << "xz is not installed";
  }

  const NamedProgram named = NameEverything("mini");

  EXPECT_TRUE(named.Shows("shop::Checkout(int) :0"));
  EXPECT_FALSE(named.Shows("shop::Pay(int) :0"));
}

TEST(Symbolizer, TheResultDoesNotDependOnTheNumberOfThreads) {
  const ModuleFileRef first = OpenModule(ProgramPath("gcc_dwarf5"));
  const ModuleFileRef second = OpenModule(ProgramPath("gcc_dwarf4"));
  Profile one = EveryAddressOf(first);
  one.modules.push_back(one.modules.front());
  for (Location location : EveryAddressOf(second).locations) {
    location.module = ModuleIndex(1);
    one.locations.push_back(location);
  }
  Profile four = one;
  const std::vector<SymbolSource> sources{{.module = ModuleIndex(0), .file = first},
                                          {.module = ModuleIndex(1), .file = second}};

  Symbolize(one, sources, {.threads = 1});
  Symbolize(four, sources, {.threads = 4});

  EXPECT_EQ(one.strings, four.strings);
  EXPECT_EQ(one.functions, four.functions);
  EXPECT_TRUE(
      std::ranges::equal(one.locations, four.locations, {}, &Location::lines, &Location::lines));
}

TEST(Symbolizer, LocationsThatHaveLinesKeepThem) {
  const ModuleFileRef module = OpenModule(ProgramPath("gcc_dwarf5"));
  Profile profile = EveryAddressOf(module);
  profile.functions.push_back({});
  profile.locations.front().lines.push_back({.function = FunctionIndex(0), .line = 77});

  const SymbolizeReport report =
      Symbolize(profile, {{.module = ModuleIndex(0), .file = module}}, {});

  EXPECT_EQ(profile.locations.front().lines.size(), 1U);
  EXPECT_EQ(profile.locations.front().lines.front().line, 77);
  EXPECT_EQ(report.locations, profile.locations.size() - 1);
}

TEST(Symbolizer, FunctionsAndStringsStandInTheTablesOnce) {
  const NamedProgram named = NameEverything("gcc_dwarf5");

  std::vector<std::string> strings = named.profile.strings;
  std::ranges::sort(strings);

  EXPECT_EQ(std::ranges::adjacent_find(strings), strings.end());
}

TEST(Symbolizer, AddressesOutsideOfTheProgramStayUnresolved) {
  const ModuleFileRef module = OpenModule(ProgramPath("gcc_dwarf5"));
  Profile profile = EveryAddressOf(module);
  profile.locations.clear();
  for (const uint64_t address : {uint64_t{0}, uint64_t{1}, uint64_t{1} << 40, ~uint64_t{0}}) {
    profile.locations.push_back({.module = ModuleIndex(0), .address = address});
  }

  const SymbolizeReport report =
      Symbolize(profile, {{.module = ModuleIndex(0), .file = module}}, {});

  EXPECT_EQ(report.unresolved, 4U);
}

TEST(Symbolizer, CallsIntoLibrariesAreNamedAfterTheirTarget) {
  const ModuleFileRef module = OpenModule("/proc/self/exe");
  const ElfSection* plt = module->elf()->FindSection(".plt.sec");
  plt = plt != nullptr ? plt : module->elf()->FindSection(".plt");
  ASSERT_NE(plt, nullptr);
  Profile profile = EveryAddressOf(module);
  profile.locations.clear();
  for (uint64_t i = 0; i < plt->size; i += 16) {
    profile.locations.push_back({.module = ModuleIndex(0), .address = plt->address.value() + i});
  }

  Symbolize(profile, {{.module = ModuleIndex(0), .file = module}}, {});

  std::vector<std::string> names;
  for (const Function& function : profile.functions) {
    names.emplace_back(profile.Text(function.name));
  }
  EXPECT_THAT(names, Contains("__errno_location@plt"));
}

TEST(Symbolizer, KernelAddressesAreNamedFromKallsyms) {
  const std::string path = ::testing::TempDir() + "/kallsyms." + std::to_string(getpid());
  std::ofstream(path) << "ffffffff81000000 T do_work\nffffffff81000100 t helper\n"
                         "ffffffffc0000000 t filter\t[nf_tables]\nffffffffc0000100 d data\n";
  Profile profile;
  profile.modules.push_back({.kind = ModuleKind::kKernel});
  for (const uint64_t address : {0xffffffff81000010, 0xffffffffc0000008, 0xffffffffc0000108}) {
    profile.locations.push_back({.module = ModuleIndex(0), .address = address});
  }

  const SymbolizeReport report = Symbolize(profile, {}, {.kallsyms_path = path});
  std::filesystem::remove(path);

  EXPECT_EQ(DescribeLines(profile, profile.locations[0]), "do_work :0");
  EXPECT_EQ(DescribeLines(profile, profile.locations[1]), "filter [nf_tables]:0");
  EXPECT_EQ(report.unresolved, 1U);
}

TEST(Symbolizer, JitCodeIsNamedFromThePerfMap) {
  Profile profile;
  profile.modules.push_back({.kind = ModuleKind::kJit});
  profile.locations.push_back({.module = ModuleIndex(0), .address = 0x7f0000001010});

  Symbolize(profile,
            {{.module = ModuleIndex(0), .jit_map = "7f0000001000 40 py::handler:/srv/app.py\n"}},
            {});

  EXPECT_EQ(DescribeLines(profile, profile.locations[0]), "py::handler:/srv/app.py :0");
}

TEST(Symbolizer, PythonAndWaitLocationsAreLeftAlone) {
  Profile profile;
  profile.modules.push_back({.kind = ModuleKind::kPython});
  profile.modules.push_back({.kind = ModuleKind::kWait});
  profile.locations.push_back({.module = ModuleIndex(0)});
  profile.locations.push_back({.module = ModuleIndex(1)});

  EXPECT_EQ(Symbolize(profile, {}, {}).locations, 0U);
}

}  // namespace
}  // namespace whyslow
