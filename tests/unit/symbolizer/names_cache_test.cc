#include "symbolizer/names_cache.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "base/file_io.h"
#include "tests/unit/symbolizer/symbol_program.h"

namespace whyslow {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

NamedAddresses SomeNames() {
  NamedAddresses names;
  names.has_debug_information = true;
  names.functions = {{"Outer(int)", "_Z5Outeri", "/src/a.cc", 10},
                     {"Inner()", "_Z5Innerv", "/src/a.h", 3},
                     {"plain", "", "", 0}};
  names.lines = {{{1, 4, 2}, {0, 12, 9}}, {}, {{2, 0, 0}}};
  return names;
}

const std::vector<uint64_t> kAddresses{0x1000, 0x1010, 0xFFFFFFFFFFFFFFFF};

std::vector<std::string> Described(const NamedAddresses& names) {
  std::vector<std::string> all;
  for (const std::vector<NamedLine>& lines : names.lines) {
    std::string text;
    for (const NamedLine& line : lines) {
      const NamedFunction& function = names.functions[line.function];
      text += function.name + "|" + function.system_name + "|" + function.file + "@" +
              std::to_string(function.start_line) + ":" + std::to_string(line.line) + ":" +
              std::to_string(line.column) + ";";
    }
    all.push_back(text);
  }
  return all;
}

TEST(KnownNames, ComeBackAsTheyWere) {
  const std::string packed = KnownNames::Pack("key", kAddresses, SomeNames());

  const std::optional<KnownNames> known = KnownNames::Unpack(packed, "key");

  ASSERT_TRUE(known.has_value());
  EXPECT_EQ(known->addresses(), kAddresses);
  const NamedAddresses names = JoinNames(kAddresses, *known, {}, {});
  EXPECT_EQ(Described(names), Described(SomeNames()));
  EXPECT_TRUE(names.has_debug_information);
}

TEST(KnownNames, OfAnotherKeyAreNotUsed) {
  const std::string packed = KnownNames::Pack("key", kAddresses, SomeNames());

  EXPECT_FALSE(KnownNames::Unpack(packed, "kez").has_value());
  EXPECT_FALSE(KnownNames::Unpack(packed, "ke").has_value());
  EXPECT_FALSE(KnownNames::Unpack(packed, "").has_value());
}

TEST(KnownNames, AreJoinedWithWhatWasFoundNow) {
  const std::string packed = KnownNames::Pack("key", kAddresses, SomeNames());
  const KnownNames known = *KnownNames::Unpack(packed, "key");
  const std::vector<uint64_t> missing{0x1008};
  NamedAddresses found;
  found.functions = {{"New()", "_Z3Newv", "/src/b.cc", 1}};
  found.lines = {{{0, 2, 1}}};

  const NamedAddresses names =
      JoinNames(std::vector<uint64_t>{0x1000, 0x1008, 0x1010}, known, missing, found);

  EXPECT_THAT(
      Described(names),
      ElementsAre("Inner()|_Z5Innerv|/src/a.h@3:4:2;Outer(int)|_Z5Outeri|/src/a.cc@10:12:9;",
                  "New()|_Z3Newv|/src/b.cc@1:2:1;", ""));
  EXPECT_EQ(names.functions.size(), 3U);  // "plain" is not used
}

// The checksum below is no protection against a file that was made by hand.
TEST(KnownNames, DamagedOnesDoNoHarm) {
  const std::string good = KnownNames::Pack("key", kAddresses, SomeNames());
  for (size_t length = 0; length < good.size(); ++length) {
    EXPECT_FALSE(KnownNames::Unpack(good.substr(0, length), "key").has_value()) << length;
  }
  EXPECT_FALSE(KnownNames::Unpack(good + "x", "key").has_value());
  std::mt19937 random(1);
  for (int i = 0; i < 20000; ++i) {
    std::string bad = good;
    for (int changes = 0; changes <= i % 3; ++changes) {
      bad[random() % bad.size()] = static_cast<char>(random());
    }
    if (const std::optional<KnownNames> known = KnownNames::Unpack(bad, "key")) {
      const NamedAddresses names = JoinNames(known->addresses(), *known, {}, {});
      EXPECT_EQ(names.lines.size(), known->addresses().size());
    }
  }
}

class NamesCacheTest : public testing::Test {
 protected:
  NamesCacheTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "whyslow-test-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  ~NamesCacheTest() override { std::filesystem::remove_all(folder_); }

  NamesCache Open(Nanoseconds settling = Nanoseconds(0)) const {
    return NamesCache(*DiskCache::Open(folder_ / "cache", "names", 1 << 20), settling);
  }
  std::string CopyTo(const std::string& program, const std::string& name) const {
    const std::filesystem::path path = folder_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::filesystem::copy_file(ProgramPath(program), path,
                               std::filesystem::copy_options::overwrite_existing);
    return path;
  }
  // Names all addresses of the program at `path`.
  Profile Name(const std::string& path, const NamesCache* cache,
               SymbolizeOptions options = {}) const {
    options.cache = cache;
    const ModuleFileRef module = OpenModule(path);
    Profile profile = EveryAddressOf(module);
    Symbolize(profile, {{.module = ModuleIndex(0), .file = module}}, options);
    return profile;
  }
  size_t KeptFiles() const {
    const std::filesystem::directory_iterator files(folder_ / "cache");
    return static_cast<size_t>(std::distance(begin(files), end(files)));
  }

  std::filesystem::path folder_;
};

void ExpectSame(const Profile& one, const Profile& other) {
  EXPECT_EQ(one.strings, other.strings);
  EXPECT_EQ(one.functions, other.functions);
  EXPECT_TRUE(
      std::ranges::equal(one.locations, other.locations, {}, &Location::lines, &Location::lines));
  EXPECT_EQ(one.modules.front().has_inline_frames, other.modules.front().has_inline_frames);
}

TEST_F(NamesCacheTest, GivesTheSameProfileAsTheFiles) {
  const NamesCache cache = Open();
  for (const char* program : {"gcc_dwarf5", "gcc_dwarf4", "stripped"}) {
    const Profile without = Name(ProgramPath(program), nullptr);
    const Profile first = Name(ProgramPath(program), &cache);
    const Profile second = Name(ProgramPath(program), &cache);
    ExpectSame(without, first);
    ExpectSame(without, second);
  }
  EXPECT_EQ(KeptFiles(), 3U);
}

// Names of one file through the cache alone; what is searched for is recorded.
class SearchedNames {
 public:
  explicit SearchedNames(const NamesCache& cache, const std::string& path)
      : cache_(cache), module_(OpenModule(path)) {}

  NamedAddresses Find(const std::vector<uint64_t>& wanted, bool may_be_kept = true) {
    searched.clear();
    return cache_.Find(
        wanted,
        [&] {
          NamesKey key({}, /*asks_debuginfod=*/false);
          key.AddFile(module_->elf());
          return key;
        },
        [&](const std::vector<uint64_t>& missing) {
          searched = missing;
          FoundNames found{.may_be_kept = may_be_kept};
          for (const uint64_t address : missing) {
            found.names.functions.push_back({.name = "at " + std::to_string(address)});
            found.names.lines.push_back({{static_cast<uint32_t>(found.names.lines.size()), 1, 1}});
          }
          return found;
        });
  }

  std::vector<uint64_t> searched;

 private:
  const NamesCache& cache_;
  ModuleFileRef module_;
};

TEST_F(NamesCacheTest, SearchesOnlyForWhatItDoesNotKnow) {
  const NamesCache cache = Open();
  SearchedNames names(cache, ProgramPath("gcc_dwarf5"));

  names.Find({1, 3, 5});
  EXPECT_THAT(names.searched, ElementsAre(1, 3, 5));
  const NamedAddresses some = names.Find({2, 3, 4, 5});
  EXPECT_THAT(names.searched, ElementsAre(2, 4));
  EXPECT_THAT(Described(some),
              ElementsAre("at 2||@0:1:1;", "at 3||@0:1:1;", "at 4||@0:1:1;", "at 5||@0:1:1;"));
  const NamedAddresses all = names.Find({1, 2, 3, 4, 5});
  EXPECT_THAT(names.searched, IsEmpty());
  EXPECT_EQ(Described(all).front(), "at 1||@0:1:1;");
}

TEST_F(NamesCacheTest, DoesNotKeepWhatMayChange) {
  const NamesCache cache = Open();
  SearchedNames names(cache, ProgramPath("gcc_dwarf5"));

  names.Find({1}, /*may_be_kept=*/false);

  names.Find({1});
  EXPECT_THAT(names.searched, ElementsAre(1));
}

TEST_F(NamesCacheTest, DoesNotTrustAFileThatHasJustChanged) {
  const NamesCache cache = Open(std::chrono::hours(1));
  SearchedNames names(cache, CopyTo("gcc_dwarf5", "new"));

  names.Find({1});

  EXPECT_EQ(KeptFiles(), 0U);
}

TEST_F(NamesCacheTest, DoesNotKeepNamesOfAFileThatChangedDuringTheSearch) {
  const NamesCache cache = Open();
  const std::string path = CopyTo("gcc_dwarf5", "program");
  const ModuleFileRef module = OpenModule(path);

  cache.Find(
      {1},
      [&] {
        NamesKey key({}, /*asks_debuginfod=*/false);
        key.AddFile(module->elf());
        return key;
      },
      [&](const std::vector<uint64_t>&) {
        std::ofstream(path, std::ios::app) << "more";
        return FoundNames{.names = {.lines = {{}}}};
      });

  EXPECT_EQ(KeptFiles(), 0U);
}

TEST_F(NamesCacheTest, ADamagedFileIsSearchedForAgain) {
  const NamesCache cache = Open();
  SearchedNames names(cache, ProgramPath("gcc_dwarf5"));
  names.Find({1, 2});
  const std::filesystem::path file = *std::filesystem::directory_iterator(folder_ / "cache");
  std::string bytes = *ReadFile(file);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  std::ofstream(file) << bytes;

  const NamedAddresses again = names.Find({1, 2});

  EXPECT_THAT(names.searched, ElementsAre(1, 2));
  EXPECT_THAT(Described(again), ElementsAre("at 1||@0:1:1;", "at 2||@0:1:1;"));
}

// Each of these leaves the build ID as it is.
TEST_F(NamesCacheTest, AnotherFileOfTheSameBuildIdIsSearched) {
  const NamesCache cache = Open();
  const std::string path = CopyTo("gcc_dwarf5", "program");
  SearchedNames(cache, path).Find({1});
  const auto is_searched = [&](const std::string& file) {
    SearchedNames names(cache, file);
    names.Find({1});
    return !names.searched.empty();
  };
  ASSERT_FALSE(is_searched(path));

  EXPECT_TRUE(is_searched(CopyTo("gcc_dwarf5", "copy")));
  struct stat info {};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  std::ofstream(path, std::ios::app) << "more";
  EXPECT_TRUE(is_searched(path));
  // Its size and time can be set back, the time of that cannot.
  std::filesystem::resize_file(path, static_cast<uintmax_t>(info.st_size));
  const timespec times[2] = {info.st_atim, info.st_mtim};
  ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  EXPECT_TRUE(is_searched(path));
}

TEST_F(NamesCacheTest, ADebugFileThatAppearsOrGoesIsNoticed) {
  const NamesCache cache = Open();
  const std::string program = CopyTo("linked", "bin/linked");
  const auto named = [&] {
    const Profile profile = Name(program, &cache);
    ExpectSame(profile, Name(program, nullptr));
    return profile.functions.size();
  };
  const size_t without = named();

  const std::string debug = CopyTo("shop.debug", "bin/shop.debug");
  EXPECT_GT(named(), without);

  std::filesystem::remove(debug);
  EXPECT_EQ(named(), without);
}

TEST(NamesKey, TellsApartWhereDebugFilesAreLookedFor) {
  const ModuleFileRef module = OpenModule(ProgramPath("gcc_dwarf5"));
  const auto text_of = [&](const std::vector<std::string>& folders, bool debuginfod,
                           bool has_file) {
    NamesKey key(folders, debuginfod);
    key.AddFile(has_file ? module->elf() : nullptr);
    EXPECT_TRUE(key.usable());
    return key.text();
  };

  const std::string text = text_of({"/a"}, false, true);
  EXPECT_EQ(text_of({"/a"}, false, true), text);
  EXPECT_NE(text_of({"/b"}, false, true), text);
  EXPECT_NE(text_of({"/a", "/b"}, false, true), text);
  EXPECT_NE(text_of({"/a"}, true, true), text);
  EXPECT_NE(text_of({"/a"}, false, false), text);
}

TEST(NamesKey, OfAnImageWithoutAFileIsNotUsable) {
  const std::string bytes = *ReadFile(ProgramPath("gcc_dwarf5"));
  const ElfFile image = *ElfFile::FromBytes(bytes, "[vdso]");
  NamesKey key({}, /*asks_debuginfod=*/false);

  key.AddFile(&image);

  EXPECT_FALSE(key.usable());
}

}  // namespace
}  // namespace whyslow
