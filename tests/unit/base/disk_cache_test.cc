#include "base/disk_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "base/file_io.h"

namespace whyslow {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kPlenty = 1 << 20;

class DiskCacheTest : public testing::Test {
 protected:
  DiskCacheTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "whyslow-test-XXXXXX").string();
    root_ = mkdtemp(pattern.data());
    folder_ = root_ / "cache";
  }
  ~DiskCacheTest() override { std::filesystem::remove_all(root_); }

  DiskCache Open(uint64_t max_bytes = kPlenty, std::string kind = "names") const {
    absl::StatusOr<DiskCache> cache = DiskCache::Open(folder_, std::move(kind), max_bytes);
    EXPECT_TRUE(cache.ok()) << cache.status();
    return *std::move(cache);
  }
  std::filesystem::path FileOf(const std::string& name) const {
    return folder_ / ("names-" + name);
  }
  // Without waiting for the clock of the file system.
  void SetAge(const std::string& name, int seconds) const {
    std::filesystem::last_write_time(FileOf(name), std::filesystem::file_time_type::clock::now() -
                                                       std::chrono::seconds(seconds));
  }
  size_t FilesInFolder() const {
    const std::filesystem::directory_iterator files(folder_);
    return static_cast<size_t>(std::distance(begin(files), end(files)));
  }

  std::filesystem::path root_;
  std::filesystem::path folder_;
};

TEST_F(DiskCacheTest, GivesBackWhatWasWritten) {
  const DiskCache cache = Open();
  const std::string content("some\0bytes", 10);

  ASSERT_TRUE(cache.Write("one", content).ok());

  EXPECT_EQ(*cache.Read("one"), content);
  EXPECT_EQ(*Open().Read("one"), content);
  EXPECT_EQ(cache.Read("two").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(DiskCacheTest, TheLastWriterWinsAndLeavesNothingElse) {
  const DiskCache cache = Open();

  ASSERT_TRUE(cache.Write("one", "first").ok());
  ASSERT_TRUE(cache.Write("one", "").ok());

  EXPECT_EQ(*cache.Read("one"), "");
  EXPECT_EQ(FilesInFolder(), 1U);
}

TEST_F(DiskCacheTest, FolderAndFilesAreTheirOwnersAlone) {
  ASSERT_TRUE(Open().Write("one", "content").ok());

  struct stat info {};
  ASSERT_EQ(stat(folder_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700U);
  ASSERT_EQ(stat(FileOf("one").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST_F(DiskCacheTest, EverySingleWrongByteIsFound) {
  const DiskCache cache = Open();
  ASSERT_TRUE(cache.Write("one", "what was found out at some cost").ok());
  const std::string good = *ReadFile(FileOf("one"));
  for (size_t i = 0; i < good.size(); ++i) {
    for (const int flip : {0x01, 0x80, 0xFF}) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ flip);
      std::ofstream(FileOf("one"), std::ios::binary) << bad;
      EXPECT_EQ(cache.Read("one").status().code(), absl::StatusCode::kDataLoss) << i;
    }
  }
  std::ofstream(FileOf("one"), std::ios::binary) << good;
  EXPECT_TRUE(cache.Read("one").ok());
}

TEST_F(DiskCacheTest, EveryOtherLengthIsFound) {
  const DiskCache cache = Open();
  ASSERT_TRUE(cache.Write("one", "content").ok());
  const std::string good = *ReadFile(FileOf("one"));
  for (size_t length = 0; length < good.size(); ++length) {
    std::filesystem::resize_file(FileOf("one"), length);
    EXPECT_EQ(cache.Read("one").status().code(), absl::StatusCode::kDataLoss) << length;
    std::ofstream(FileOf("one"), std::ios::binary) << good;
  }
  std::ofstream(FileOf("one"), std::ios::binary) << good << '\0';
  EXPECT_EQ(cache.Read("one").status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(DiskCacheTest, AFileUnderAnothersNameIsNotUsed) {
  const DiskCache cache = Open();
  ASSERT_TRUE(cache.Write("one", "content").ok());

  std::filesystem::rename(FileOf("one"), FileOf("two"));

  EXPECT_EQ(cache.Read("two").status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(DiskCacheTest, AFileThatOthersMayTouchIsNotUsed) {
  const DiskCache cache = Open();
  ASSERT_TRUE(cache.Write("one", "content").ok());
  for (const mode_t mode : {0660U, 0606U, 0640U, 0604U}) {
    ASSERT_EQ(chmod(FileOf("one").c_str(), mode), 0);
    EXPECT_EQ(cache.Read("one").status().code(), absl::StatusCode::kPermissionDenied) << mode;
  }
}

TEST_F(DiskCacheTest, LinksAreNotFollowed) {
  const DiskCache cache = Open();
  ASSERT_TRUE(cache.Write("one", "content").ok());
  std::filesystem::rename(FileOf("one"), root_ / "elsewhere");
  std::filesystem::create_symlink(root_ / "elsewhere", FileOf("one"));

  EXPECT_FALSE(cache.Read("one").ok());

  // Writing replaces the link and leaves what it led to alone.
  ASSERT_TRUE(cache.Write("one", "new").ok());
  EXPECT_EQ(*cache.Read("one"), "new");
  EXPECT_TRUE(std::filesystem::exists(root_ / "elsewhere"));
}

TEST_F(DiskCacheTest, APipeInPlaceOfAFileDoesNotBlock) {
  const DiskCache cache = Open();
  ASSERT_EQ(mkfifo(FileOf("one").c_str(), 0600), 0);

  EXPECT_EQ(cache.Read("one").status().code(), absl::StatusCode::kPermissionDenied);
}

TEST_F(DiskCacheTest, AFolderThatOthersMayReadOrWriteIsRefused) {
  for (const mode_t mode : {0770U, 0707U, 0750U, 0705U}) {
    std::filesystem::create_directory(folder_);
    ASSERT_EQ(chmod(folder_.c_str(), mode), 0);
    EXPECT_EQ(DiskCache::Open(folder_, "names", kPlenty).status().code(),
              absl::StatusCode::kPermissionDenied)
        << mode;
  }
}

TEST_F(DiskCacheTest, AFolderInOneThatOthersMayWriteToIsRefused) {
  ASSERT_EQ(chmod(root_.c_str(), 0777), 0);

  EXPECT_EQ(DiskCache::Open(folder_, "names", kPlenty).status().code(),
            absl::StatusCode::kPermissionDenied);
  EXPECT_FALSE(std::filesystem::exists(folder_));
}

TEST_F(DiskCacheTest, ALinkInPlaceOfTheFolderIsRefused) {
  std::filesystem::create_directory(root_ / "elsewhere");
  std::filesystem::create_directory_symlink(root_ / "elsewhere", folder_);

  EXPECT_FALSE(DiskCache::Open(folder_, "names", kPlenty).ok());
}

TEST_F(DiskCacheTest, AnothersFolderIsRefused) {
  static_cast<void>(Open());

  // Root may own the folder above; the folder itself must be the user's.
  EXPECT_EQ(DiskCache::Open(folder_, "names", kPlenty, geteuid() + 1).status().code(),
            absl::StatusCode::kPermissionDenied);
}

TEST_F(DiskCacheTest, AnothersFileIsNotUsed) {
  const DiskCache cache = Open();
  ASSERT_TRUE(cache.Write("one", "content").ok());
  if (chown(FileOf("one").c_str(), 65534, 65534) != 0) {
    GTEST_SKIP() << "only root can give a file away";
  }

  EXPECT_EQ(cache.Read("one").status().code(), absl::StatusCode::kPermissionDenied);
}

TEST_F(DiskCacheTest, TheLeastRecentlyUsedGoesFirst) {
  const DiskCache cache = Open(/*max_bytes=*/3000);
  const std::string content(900, 'x');
  for (const char* name : {"one", "two", "three"}) {
    ASSERT_TRUE(cache.Write(name, content).ok());
  }
  SetAge("one", 30);
  SetAge("two", 20);
  SetAge("three", 10);
  ASSERT_TRUE(cache.Read("one").ok());  // now the youngest

  ASSERT_TRUE(cache.Write("four", content).ok());

  EXPECT_FALSE(cache.Read("two").ok());
  EXPECT_TRUE(cache.Read("one").ok());
  EXPECT_TRUE(cache.Read("three").ok());
  EXPECT_TRUE(cache.Read("four").ok());
}

TEST_F(DiskCacheTest, AllFilesTogetherStayBelowTheLimit) {
  const DiskCache cache = Open(/*max_bytes=*/5000);
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(cache.Write("file" + std::to_string(i), std::string(700, 'x')).ok());
    uint64_t total = 0;
    for (const auto& file : std::filesystem::directory_iterator(folder_)) {
      total += file.file_size();
    }
    EXPECT_LE(total, 5000U);
  }
  EXPECT_EQ(FilesInFolder(), 6U);
}

TEST_F(DiskCacheTest, ContentBeyondTheLimitIsRefusedAndCostsNoOther) {
  const DiskCache cache = Open(/*max_bytes=*/1000);
  ASSERT_TRUE(cache.Write("one", "content").ok());

  EXPECT_EQ(cache.Write("two", std::string(1000, 'x')).code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(cache.Read("one").ok());
}

TEST_F(DiskCacheTest, OtherKindsAreLeftAlone) {
  const DiskCache rules = Open(kPlenty, "rules");
  ASSERT_TRUE(rules.Write("one", std::string(3000, 'x')).ok());
  const DiskCache names = Open(/*max_bytes=*/1000);

  ASSERT_TRUE(names.Write("one", std::string(900, 'y')).ok());

  EXPECT_EQ(rules.Read("one")->size(), 3000U);
  EXPECT_EQ(names.Read("one")->size(), 900U);
}

TEST_F(DiskCacheTest, WhatAKilledWriterLeftGoesAfterAnHour) {
  const DiskCache cache = Open();
  for (const char* name : {".names-1", ".names-2"}) {
    std::ofstream(folder_ / name) << "half";
  }
  std::filesystem::last_write_time(
      folder_ / ".names-1", std::filesystem::file_time_type::clock::now() - std::chrono::hours(2));

  ASSERT_TRUE(cache.Write("one", "content").ok());

  EXPECT_FALSE(std::filesystem::exists(folder_ / ".names-1"));
  EXPECT_TRUE(std::filesystem::exists(folder_ / ".names-2"));
}

TEST_F(DiskCacheTest, NamesCannotLeadOutOfTheFolder) {
  const DiskCache cache = Open();
  for (const std::string& name :
       {std::string(), std::string("../x"), std::string("a/b"), std::string(300, 'x')}) {
    EXPECT_EQ(cache.Write(name, "x").code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(cache.Read(name).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

class FolderOfUserTest : public DiskCacheTest {
 protected:
  FolderOfUserTest() {
    Set("HOME", root_.string());
    Set("XDG_CACHE_HOME", "");
  }
  ~FolderOfUserTest() override {
    for (const auto& [name, value] : before_) {
      value ? setenv(name.c_str(), value->c_str(), 1) : unsetenv(name.c_str());
    }
  }
  void Set(const std::string& name, const std::string& value) {
    const char* old = std::getenv(name.c_str());
    before_.emplace(name, old != nullptr ? std::optional<std::string>(old) : std::nullopt);
    value.empty() ? unsetenv(name.c_str()) : setenv(name.c_str(), value.c_str(), 1);
  }

 private:
  std::map<std::string, std::optional<std::string>> before_;
};

TEST_F(FolderOfUserTest, IsInHomeUnlessTheUserSaysOtherwise) {
  EXPECT_EQ(*DiskCache::FolderOfUser(), root_.string() + "/.cache/whyslow");
  std::filesystem::create_directory(root_ / "xdg");
  Set("XDG_CACHE_HOME", (root_ / "xdg").string());
  EXPECT_EQ(*DiskCache::FolderOfUser(), root_.string() + "/xdg/whyslow");
  Set("XDG_CACHE_HOME", "relative");  // to be ignored, says the specification
  EXPECT_EQ(*DiskCache::FolderOfUser(), root_.string() + "/.cache/whyslow");
}

TEST_F(FolderOfUserTest, IsNowhereWithoutAHomeOfOnesOwn) {
  Set("HOME", (root_ / "missing").string());
  EXPECT_FALSE(DiskCache::FolderOfUser().ok());
  Set("HOME", "");
  EXPECT_FALSE(DiskCache::FolderOfUser().ok());
}

TEST_F(FolderOfUserTest, IsNeverInAnotherUsersHome) {
  if (geteuid() != 0) {
    GTEST_SKIP() << "only root can give a directory away";
  }
  ASSERT_EQ(chown(root_.c_str(), 12345, 12345), 0);
  EXPECT_THAT(std::string(DiskCache::FolderOfUser().status().message()),
              HasSubstr("it belongs to user 12345"));
  EXPECT_FALSE(std::filesystem::exists(root_ / ".cache"));
}

}  // namespace
}  // namespace whyslow
