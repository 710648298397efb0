#include "base/disk_cache.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace whyslow {
namespace {

using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

constexpr uint64_t kPlenty = 1 << 20;

class DiskCacheTest : public ::testing::Test {
 protected:
  DiskCacheTest() {
    std::string name = (std::filesystem::temp_directory_path() / "disk_cache_test.XXXXXX").string();
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
  }
  ~DiskCacheTest() override { std::filesystem::remove_all(root_); }

  std::string Directory() const { return (root_ / "cache").string(); }
  DiskCache Open(uint64_t max_bytes = kPlenty) const {
    absl::StatusOr<DiskCache> cache = DiskCache::Open(Directory(), ".x", max_bytes);
    EXPECT_TRUE(cache.ok()) << cache.status();
    return *std::move(cache);
  }
  void Write(const std::string& name, const std::string& content) const {
    std::ofstream(root_ / "cache" / name) << content;
  }
  // As if it had been used at that second.
  void SetUsed(const std::string& name, time_t when) const {
    const timespec times[2] = {{when, 0}, {when, 0}};
    EXPECT_EQ(utimensat(AT_FDCWD, (root_ / "cache" / name).c_str(), times, 0), 0);
  }
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(Directory())) {
      names.push_back(entry.path().filename().string());
    }
    return names;
  }

  std::filesystem::path root_;
};

TEST_F(DiskCacheTest, WhatWasStoredIsLoaded) {
  DiskCache cache = Open();
  EXPECT_EQ(cache.Load("a.x").status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(cache.Store("a.x", std::string("some\0thing", 10)).ok());
  EXPECT_EQ(*cache.Load("a.x"), std::string("some\0thing", 10));
  ASSERT_TRUE(cache.Store("a.x", "new").ok());
  EXPECT_EQ(*Open().Load("a.x"), "new");
  cache.Remove("a.x");
  EXPECT_FALSE(cache.Load("a.x").ok());
}

TEST_F(DiskCacheTest, DirectoryAndFilesAreForTheirOwnerOnly) {
  ASSERT_TRUE(Open().Store("a.x", "content").ok());
  struct stat info {};
  ASSERT_EQ(stat(Directory().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0700U);
  ASSERT_EQ(stat((Directory() + "/a.x").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600U);
}

TEST_F(DiskCacheTest, ADirectoryThatOthersMayWriteToIsRefused) {
  Open();
  for (const mode_t mode : {0720, 0702, 0777}) {
    ASSERT_EQ(chmod(Directory().c_str(), mode), 0);
    const auto cache = DiskCache::Open(Directory(), ".x", kPlenty);
    EXPECT_THAT(std::string(cache.status().message()), HasSubstr("others may write to it"));
  }
  ASSERT_EQ(chmod(Directory().c_str(), 0755), 0);
  EXPECT_TRUE(DiskCache::Open(Directory(), ".x", kPlenty).ok());
}

TEST_F(DiskCacheTest, ADirectoryOfAnotherUserIsRefused) {
  if (geteuid() != 0) {
    GTEST_SKIP() << "only root can give a directory away";
  }
  Open();
  ASSERT_EQ(chown(Directory().c_str(), 12345, 12345), 0);
  const auto cache = DiskCache::Open(Directory(), ".x", kPlenty);
  EXPECT_THAT(std::string(cache.status().message()), HasSubstr("it belongs to user 12345"));
}

TEST_F(DiskCacheTest, WhatIsNoDirectoryIsRefused) {
  std::ofstream(Directory()) << "a file";
  EXPECT_FALSE(DiskCache::Open(Directory(), ".x", kPlenty).ok());
  std::filesystem::remove(Directory());
  std::filesystem::create_directory(root_ / "elsewhere");
  std::filesystem::create_symlink(root_ / "elsewhere", Directory());
  EXPECT_FALSE(DiskCache::Open(Directory(), ".x", kPlenty).ok());
  EXPECT_FALSE(DiskCache::Open((root_ / "not" / "there").string(), ".x", kPlenty).ok());
}

TEST_F(DiskCacheTest, AFileThatOthersMayWriteToIsRefused) {
  DiskCache cache = Open();
  ASSERT_TRUE(cache.Store("a.x", "content").ok());
  ASSERT_EQ(chmod((Directory() + "/a.x").c_str(), 0620), 0);
  EXPECT_THAT(std::string(cache.Load("a.x").status().message()), HasSubstr("others may write"));
  ASSERT_TRUE(cache.Store("a.x", "content").ok());
  EXPECT_TRUE(cache.Load("a.x").ok());
}

TEST_F(DiskCacheTest, AFileOfAnotherUserIsRefusedAndReplaced) {
  if (geteuid() != 0) {
    GTEST_SKIP() << "only root can give a file away";
  }
  DiskCache cache = Open();
  ASSERT_TRUE(cache.Store("a.x", "content").ok());
  ASSERT_EQ(chown((Directory() + "/a.x").c_str(), 12345, 12345), 0);
  EXPECT_THAT(std::string(cache.Load("a.x").status().message()), HasSubstr("it belongs to user"));
  ASSERT_TRUE(cache.Store("a.x", "new").ok());
  EXPECT_EQ(*cache.Load("a.x"), "new");
}

TEST_F(DiskCacheTest, LinksAndPipesAreNeitherReadNorWrittenThrough) {
  DiskCache cache = Open();
  std::ofstream(root_ / "other") << "not to be touched";
  std::filesystem::create_symlink(root_ / "other", root_ / "cache" / "link.x");
  ASSERT_EQ(mkfifo((Directory() + "/pipe.x").c_str(), 0600), 0);
  for (const char* name : {"link.x", "pipe.x"}) {
    EXPECT_FALSE(cache.Load(name).ok());
    ASSERT_TRUE(cache.Store(name, "content").ok());
    EXPECT_EQ(*cache.Load(name), "content");
  }
  std::ifstream other(root_ / "other");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(other), {}), "not to be touched");
}

TEST_F(DiskCacheTest, WhatWasNotUsedForLongestGoesWhenTheBoundIsReached) {
  DiskCache cache = Open(/*max_bytes=*/25);
  ASSERT_TRUE(cache.Store("a.x", "0123456789").ok());
  ASSERT_TRUE(cache.Store("b.x", "0123456789").ok());
  SetUsed("a.x", 1000);
  SetUsed("b.x", 2000);
  ASSERT_TRUE(cache.Load("a.x").ok());  // used now
  ASSERT_TRUE(cache.Store("c.x", "0123456789").ok());
  EXPECT_THAT(Names(), UnorderedElementsAre("a.x", "c.x"));
}

TEST_F(DiskCacheTest, TheBoundHoldsForAnySequenceAndTheNewestStays) {
  DiskCache cache = Open(/*max_bytes=*/100);
  for (int i = 0; i < 50; ++i) {
    const std::string name = std::to_string(i) + ".x";
    ASSERT_TRUE(cache.Store(name, std::string(static_cast<size_t>(i * 37 % 90), '.')).ok());
    uintmax_t total = 0;
    for (const auto& entry : std::filesystem::directory_iterator(Directory())) {
      total += entry.file_size();
    }
    EXPECT_LE(total, 100U);
    EXPECT_TRUE(cache.Load(name).ok());
  }
  EXPECT_FALSE(cache.Store("large.x", std::string(101, '.')).ok());
}

TEST_F(DiskCacheTest, FilesOfOthersInTheDirectoryAreNeitherCountedNorRemoved) {
  DiskCache cache = Open(/*max_bytes=*/10);
  Write("notes.txt", std::string(1000, '.'));
  SetUsed("notes.txt", 1);
  ASSERT_TRUE(cache.Store("a.x", "0123456789").ok());
  EXPECT_THAT(Names(), UnorderedElementsAre("a.x", "notes.txt"));
}

TEST_F(DiskCacheTest, WhatAKilledWriterLeftGoesAfterAnHour) {
  DiskCache cache = Open();
  Write(".whyslow.old123", "half");
  SetUsed(".whyslow.old123", 1000);
  Write(".whyslow.now123", "half");
  ASSERT_TRUE(cache.Store("a.x", "content").ok());
  EXPECT_THAT(Names(), UnorderedElementsAre("a.x", ".whyslow.now123"));
}

TEST_F(DiskCacheTest, ACacheWhoseDirectoryIsRemovedOnlyFails) {
  DiskCache cache = Open();
  std::filesystem::remove_all(Directory());
  EXPECT_FALSE(cache.Load("a.x").ok());
  EXPECT_FALSE(cache.Store("a.x", "content").ok());
}

class UserCacheDirectoryTest : public DiskCacheTest {
 protected:
  UserCacheDirectoryTest() {
    Set("HOME", root_.string());
    Set("XDG_CACHE_HOME", "");
  }
  ~UserCacheDirectoryTest() override {
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

TEST_F(UserCacheDirectoryTest, IsInHomeUnlessTheUserSaysOtherwise) {
  EXPECT_EQ(*UserCacheDirectory("tool"), root_.string() + "/.cache/tool");
  EXPECT_TRUE(std::filesystem::is_directory(root_ / ".cache"));
  std::filesystem::create_directory(root_ / "xdg");
  Set("XDG_CACHE_HOME", (root_ / "xdg").string());
  EXPECT_EQ(*UserCacheDirectory("tool"), root_.string() + "/xdg/tool");
  Set("XDG_CACHE_HOME", "relative");  // to be ignored, says the specification
  EXPECT_EQ(*UserCacheDirectory("tool"), root_.string() + "/.cache/tool");
}

TEST_F(UserCacheDirectoryTest, IsNowhereWithoutAHomeOfOnesOwn) {
  Set("HOME", (root_ / "missing").string());
  EXPECT_FALSE(UserCacheDirectory("tool").ok());
  Set("HOME", "");
  EXPECT_FALSE(UserCacheDirectory("tool").ok());
}

TEST_F(UserCacheDirectoryTest, IsNeverInAnotherUsersHome) {
  if (geteuid() != 0) {
    GTEST_SKIP() << "only root can give a directory away";
  }
  ASSERT_EQ(chown(root_.c_str(), 12345, 12345), 0);
  EXPECT_THAT(std::string(UserCacheDirectory("tool").status().message()),
              HasSubstr("it belongs to user 12345"));
  EXPECT_FALSE(std::filesystem::exists(root_ / ".cache"));
}

}  // namespace
}  // namespace whyslow
