#include "sampler/unwind/cfi_cache.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/unit/sampler/unwind/cfi_builder.h"

namespace whyslow {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

class CfiCacheTest : public ::testing::Test {
 protected:
  CfiCacheTest() {
    std::string name = (std::filesystem::temp_directory_path() / "cfi_cache_test.XXXXXX").string();
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
  }
  ~CfiCacheTest() override { std::filesystem::remove_all(root_); }

  std::unique_ptr<CfiCache> Open(const CfiCacheLimits& limits = {.fewest_rows = 1}) const {
    absl::StatusOr<std::unique_ptr<CfiCache>> cache =
        CfiCache::Open((root_ / "cache").string(), limits);
    EXPECT_TRUE(cache.ok()) << cache.status();
    return *std::move(cache);
  }
  // A file with CFI for a function that pushes `pushes` times, and a build ID (of `digits` digits).
  ElfFile Module(int pushes, mode_t mode = 0644, size_t id_bytes = 20) const {
    EhFrameBuilder builder(0x8000);
    const size_t common = AddUsualCommon(builder);
    builder.AddFunction(common, 0x1000, 0x100, {0x41, 0x0e, 8 + 8 * pushes});
    CfiBytes note;
    AppendNumber(note, uint32_t{4});
    AppendNumber(note, static_cast<uint32_t>(id_bytes));
    AppendNumber(note, uint32_t{NT_GNU_BUILD_ID});
    Append(note, {'G', 'N', 'U', 0});
    note.insert(note.end(), id_bytes, uint8_t{0xab});
    TestElf elf;
    elf.sections = {{".eh_frame", {0x8000, builder.bytes()}},
                    {".note.gnu.build-id", {0x9000, id_bytes > 0 ? note : CfiBytes{0}}}};
    const std::string path = (root_ / "module").string();
    std::filesystem::remove(path);
    std::ofstream(path) << elf.Image();
    chmod(path.c_str(), mode);
    return *ElfFile::Open(UniqueFd(open(path.c_str(), O_RDONLY)), path);
  }
  std::vector<std::filesystem::path> Files() const {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(root_ / "cache")) {
      files.push_back(entry.path());
    }
    return files;
  }

  std::filesystem::path root_;
};

int OffsetIn(const CfiTable& table) { return table.Find(ElfAddress(0x1080)).cfa_offset; }

TEST_F(CfiCacheTest, ATableIsCompiledOnceForAllRuns) {
  const ElfFile elf = Module(1);
  ASSERT_THAT(elf.build_id(), SizeIs(40));
  const std::unique_ptr<CfiCache> first = Open();
  EXPECT_EQ(OffsetIn(first->TableOf(elf)), 16);
  EXPECT_EQ(first->compiled(), 1U);
  const std::unique_ptr<CfiCache> second = Open();
  EXPECT_EQ(OffsetIn(second->TableOf(elf)), 16);
  EXPECT_EQ(second->compiled(), 0U);
  EXPECT_EQ(second->loaded(), 1U);
  EXPECT_THAT(second->problem(), IsEmpty());
}

TEST_F(CfiCacheTest, SmallTablesAreNotKept) {
  const ElfFile elf = Module(1);
  const size_t rows = CfiTable::FromElf(elf).row_count();
  Open({.fewest_rows = rows + 1})->TableOf(elf);
  EXPECT_THAT(Files(), IsEmpty());
  Open({.fewest_rows = rows})->TableOf(elf);
  EXPECT_THAT(Files(), SizeIs(1));
}

TEST_F(CfiCacheTest, ADamagedFileIsCompiledAnewAndReplaced) {
  const ElfFile elf = Module(1);
  Open()->TableOf(elf);
  ASSERT_THAT(Files(), SizeIs(1));
  const std::string path = Files()[0].string();
  const auto size = static_cast<off_t>(std::filesystem::file_size(path));
  for (const off_t keep : {off_t{0}, off_t{10}, size - 1}) {
    ASSERT_EQ(truncate(path.c_str(), keep), 0);
    const std::unique_ptr<CfiCache> cache = Open();
    EXPECT_EQ(OffsetIn(cache->TableOf(elf)), 16);
    EXPECT_EQ(cache->compiled(), 1U);
    EXPECT_EQ(OffsetIn(cache->TableOf(elf)), 16);
    EXPECT_EQ(cache->loaded(), 1U);
  }
}

TEST_F(CfiCacheTest, ModulesWithoutAUsableBuildIdAreNotKept) {
  EXPECT_FALSE(CacheKeyOf(Module(1, 0644, 0)));
  EXPECT_FALSE(CacheKeyOf(Module(1, 0644, 4)));
  EXPECT_FALSE(CacheKeyOf(Module(1, 0644, 1000)));
  EXPECT_TRUE(CacheKeyOf(Module(1, 0644, 8)));
  EXPECT_FALSE(CacheKeyOf(*TestElf().Module()->elf()));
}

TEST_F(CfiCacheTest, AFileThatOthersMayChangeIsNotKept) {
  EXPECT_FALSE(CacheKeyOf(Module(1, 0664)));
  EXPECT_FALSE(CacheKeyOf(Module(1, 0646)));
  EXPECT_TRUE(CacheKeyOf(Module(1, 0755)));
}

TEST_F(CfiCacheTest, AForgedBuildIdHarmsOnlyFilesOfTheSameOwner) {
  if (geteuid() != 0) {
    GTEST_SKIP() << "only root can give a file away";
  }
  Module(3);
  ASSERT_EQ(chown((root_ / "module").c_str(), 12345, 12345), 0);
  const ElfFile forged = *ElfFile::Open(UniqueFd(open((root_ / "module").c_str(), O_RDONLY)),
                                        (root_ / "module").string());
  EXPECT_EQ(OffsetIn(Open()->TableOf(forged)), 32);
  const ElfFile elf = Module(1);
  ASSERT_EQ(forged.build_id(), elf.build_id());
  ASSERT_EQ(forged.file_size(), elf.file_size());
  EXPECT_EQ(OffsetIn(Open()->TableOf(elf)), 16);
}

TEST_F(CfiCacheTest, ACacheThatCannotBeWrittenStillGivesTables) {
  const ElfFile elf = Module(1);
  const std::unique_ptr<CfiCache> cache = Open();
  std::filesystem::remove_all(root_ / "cache");
  EXPECT_EQ(OffsetIn(cache->TableOf(elf)), 16);
  EXPECT_FALSE(cache->problem().empty());
}

TEST_F(CfiCacheTest, TwoVersionsLiveSideBySide) {
  const ElfFile elf = Module(1);
  Open()->TableOf(elf);
  ASSERT_THAT(Files(), SizeIs(1));
  const std::string ours = Files()[0].filename().string();
  std::string theirs = ours;
  theirs.replace(theirs.rfind("-v"), std::string::npos, "-v999");
  std::ofstream(root_ / "cache" / theirs) << "of a version to come";
  const std::unique_ptr<CfiCache> cache = Open();
  cache->TableOf(elf);
  EXPECT_EQ(cache->loaded(), 1U);
  EXPECT_THAT(Files(), SizeIs(2));
}

}  // namespace
}  // namespace whyslow
