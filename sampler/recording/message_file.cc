#include "sampler/recording/message_file.h"

#include <absl/strings/str_format.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "base/file_io.h"
#include "base/status.h"
#include "base/unique_fd.h"

namespace whyslow {
namespace {

// A sample with the largest stack copy has 64 KiB; what claims more is damaged.
constexpr size_t kLargestMessage = 1 << 20;
constexpr unsigned kBufferBytes = 256 * 1024;
constexpr int kMostVarintBytes = 10;

}  // namespace

absl::StatusOr<MessageWriter> MessageWriter::Create(const std::string& path) {
  // A pipe or a device is written to; a file is made beside the one that it will replace.
  std::string temporary;
  UniqueFd fd;
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    return ErrnoStatus(EISDIR, path);
  }
  if (IsPipeOrDevice(path)) {
    fd = UniqueFd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  } else {
    temporary = (std::filesystem::path(path).parent_path() / ".whyslow.XXXXXX").string();
    fd = UniqueFd(mkostemp(temporary.data(), O_CLOEXEC));
  }
  if (!fd) {
    return ErrnoStatus(errno, path);
  }
  // The fastest level: stacks are mostly repetition, and the target's CPU is better used otherwise.
  GzipPtr file(gzdopen(fd.get(), "wb1"));
  if (file == nullptr) {
    if (!temporary.empty()) {
      unlink(temporary.c_str());
    }
    return MakeStatus(absl::StatusCode::kResourceExhausted, path + ": out of memory");
  }
  fd.Release();
  gzbuffer(file.get(), kBufferBytes);
  return MessageWriter(path, std::move(temporary), std::move(file));
}

MessageWriter::~MessageWriter() {
  if (!temporary_.empty()) {
    unlink(temporary_.c_str());
  }
}

absl::Status MessageWriter::Write(std::string_view message) {
  std::string length;
  size_t rest = message.size();
  for (; rest >= 0x80; rest >>= 7) {
    length.push_back(static_cast<char>(rest | 0x80));
  }
  length.push_back(static_cast<char>(rest));
  for (const std::string_view part : {std::string_view(length), message}) {
    const auto size = static_cast<unsigned>(part.size());
    if (size > 0 && gzwrite(file_.get(), part.data(), size) != static_cast<int>(size)) {
      return ErrnoStatus(errno != 0 ? errno : EIO, path_);
    }
  }
  return absl::OkStatus();
}

absl::Status MessageWriter::Close() {
  const int result = gzclose(file_.release());
  if (result != Z_OK) {
    return ErrnoStatus(result == Z_ERRNO ? errno : EIO, path_);
  }
  if (temporary_.empty()) {
    return absl::OkStatus();
  }
  if (rename(temporary_.c_str(), path_.c_str()) != 0) {
    return ErrnoStatus(errno, path_);
  }
  temporary_.clear();
  return absl::OkStatus();
}

absl::StatusOr<MessageReader> MessageReader::Open(const std::string& path) {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenReadOnly(path));
  // It may come through a pipe (/dev/stdin), whose writer is to be waited for.
  fcntl(fd.get(), F_SETFL, 0);
  GzipPtr file(gzdopen(fd.get(), "rb"));
  if (file == nullptr) {
    return MakeStatus(absl::StatusCode::kResourceExhausted, path + ": out of memory");
  }
  fd.Release();
  gzbuffer(file.get(), kBufferBytes);
  return MessageReader(path, std::move(file));
}

absl::Status MessageReader::Damaged() const {
  return MakeStatus(
      absl::StatusCode::kDataLoss,
      path_ + ": the recording is damaged or cut off. What comes before that place is whole");
}

absl::StatusOr<std::optional<std::string_view>> MessageReader::Next() {
  uint64_t size = 0;
  for (int i = 0;; ++i) {
    const int byte = gzgetc(file_.get());
    int error = Z_OK;
    gzerror(file_.get(), &error);
    if (byte < 0 && i == 0 && error == Z_OK) {
      return std::optional<std::string_view>();
    }
    if (byte < 0 || i == kMostVarintBytes) {
      return Damaged();
    }
    size |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
    if ((byte & 0x80) == 0) {
      break;
    }
  }
  if (size > kLargestMessage) {
    return Damaged();
  }
  message_.resize(size);
  if (gzread(file_.get(), message_.data(), static_cast<unsigned>(size)) != static_cast<int>(size)) {
    return Damaged();
  }
  return std::optional<std::string_view>(message_);
}

}  // namespace whyslow
