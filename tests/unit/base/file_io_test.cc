#include "base/file_io.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/status.h"

namespace whyslow {
namespace {

class FileIo : public testing::Test {
 protected:
  FileIo() {
    std::string pattern = (std::filesystem::temp_directory_path() / "whyslow-test-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  ~FileIo() override { std::filesystem::remove_all(folder_); }

  size_t FilesInFolder() const {
    size_t count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder_)) {
      ++count;
    }
    return count;
  }

  std::filesystem::path folder_;
};

absl::Status WriteText(std::ostream& out) {
  out << "profile";
  return absl::OkStatus();
}

TEST_F(FileIo, AWrittenFileIsWholeAndForItsOwnerOnly) {
  const std::string path = folder_ / "out.txt";

  ASSERT_TRUE(WriteFileAtomically(path, WriteText).ok());

  EXPECT_EQ(*ReadFile(path), "profile");
  struct stat info {};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(FileIo, AFailedWriteLeavesTheOldFileAndNothingElse) {
  const std::string path = folder_ / "out.txt";
  std::ofstream(path) << "old";

  const absl::Status status = WriteFileAtomically(path, [](std::ostream& out) {
    out << "half of";
    return absl::InternalError("writer failed");
  });

  EXPECT_FALSE(status.ok());
  EXPECT_EQ(*ReadFile(path), "old");
  EXPECT_EQ(FilesInFolder(), 1u);
}

TEST_F(FileIo, AFullDeviceIsAnErrorThatNamesIt) {
  const absl::Status status = WriteFileAtomically("/dev/full", WriteText);

  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_NE(status.message().find("/dev/full"), absl::string_view::npos);
}

TEST_F(FileIo, AMissingFolderIsAnErrorThatNamesThePath) {
  const std::string path = folder_ / "missing" / "out.txt";

  const absl::Status status = WriteFileAtomically(path, WriteText);

  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_NE(status.message().find("missing/out.txt"), absl::string_view::npos);
}

TEST_F(FileIo, AFolderIsNotOverwritten) {
  EXPECT_FALSE(WriteFileAtomically(folder_, WriteText).ok());
  EXPECT_TRUE(std::filesystem::is_directory(folder_));
}

TEST_F(FileIo, ALinkKeepsLeadingToTheRenewedFile) {
  const std::string path = folder_ / "real.txt";
  const std::string link = folder_ / "link.txt";
  std::ofstream(path) << "old";
  std::filesystem::create_symlink(path, link);

  ASSERT_TRUE(WriteFileAtomically(link, WriteText).ok());

  EXPECT_TRUE(std::filesystem::is_symlink(link));
  EXPECT_EQ(*ReadFile(path), "profile");
}

TEST_F(FileIo, AFileLargerThanTheLimitIsRefused) {
  EXPECT_EQ(ReadFile("/proc/self/maps", 10).status().code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace whyslow
