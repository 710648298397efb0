#include "base/file_io.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <filesystem>
#include <streambuf>

#include "base/status.h"
#include "base/unique_fd.h"

namespace whyslow {
namespace {

// A stream buffer over a descriptor that remembers the errno of the first failed write.
class FdStreamBuffer : public std::streambuf {
 public:
  explicit FdStreamBuffer(int fd) : fd_(fd) {
    setp(buffer_.data(), buffer_.data() + buffer_.size());
  }

  int error() const { return error_; }
  bool Flush() {
    const char* from = pbase();
    while (from < pptr() && error_ == 0) {
      const ssize_t written = write(fd_, from, static_cast<size_t>(pptr() - from));
      if (written >= 0) {
        from += written;
      } else if (errno != EINTR) {
        error_ = errno;
      }
    }
    setp(buffer_.data(), buffer_.data() + buffer_.size());
    return error_ == 0;
  }

 protected:
  int_type overflow(int_type character) override {
    if (!Flush()) {
      return traits_type::eof();
    }
    if (!traits_type::eq_int_type(character, traits_type::eof())) {
      *pptr() = traits_type::to_char_type(character);
      pbump(1);
    }
    return traits_type::not_eof(character);
  }
  int sync() override { return Flush() ? 0 : -1; }

 private:
  int fd_;
  int error_ = 0;
  std::array<char, size_t{64} * 1024> buffer_{};
};

absl::Status WriteTo(int fd, const std::string& path,
                     const std::function<absl::Status(std::ostream&)>& write) {
  FdStreamBuffer buffer(fd);
  std::ostream stream(&buffer);
  absl::Status status = write(stream);
  buffer.Flush();
  if (buffer.error() != 0) {
    return ErrnoStatus(buffer.error(), path);
  }
  return status;
}

}  // namespace

bool IsPipeOrDevice(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode);
}

std::string ReadLink(const std::string& path) {
  std::array<char, PATH_MAX> text{};
  const ssize_t size = readlink(path.c_str(), text.data(), text.size());
  return size > 0 ? std::string(text.data(), static_cast<size_t>(size)) : std::string();
}

absl::StatusOr<std::string> ReadFd(int fd, const std::string& name, size_t limit) {
  std::string content;
  std::array<char, size_t{64} * 1024> chunk{};
  for (;;) {
    const ssize_t got = pread(fd, chunk.data(), chunk.size(), static_cast<off_t>(content.size()));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return ErrnoStatus(errno, name);
    }
    if (got == 0) {
      return content;
    }
    content.append(chunk.data(), static_cast<size_t>(got));
    if (content.size() > limit) {
      return MakeStatus(absl::StatusCode::kResourceExhausted,
                        name + ": larger than " + std::to_string(limit) + " bytes");
    }
  }
}

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t limit) {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenReadOnly(path));
  return ReadFd(fd.get(), path, limit);
}

absl::Status WriteFileAtomically(const std::string& path,
                                 const std::function<absl::Status(std::ostream&)>& write) {
  if (IsPipeOrDevice(path)) {
    UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
    return fd ? WriteTo(fd.get(), path, write) : ErrnoStatus(errno, path);
  }
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    return ErrnoStatus(EISDIR, path);
  }
  // A symbolic link keeps leading to the file that is renewed.
  std::string target = path;
  if (std::filesystem::is_symlink(path, ignored)) {
    std::filesystem::path resolved = std::filesystem::weakly_canonical(path, ignored);
    target = resolved.empty() ? path : resolved.string();
  }
  // The prefix is short and fixed, so that a name of the longest allowed length still has a
  // neighbour.
  const std::filesystem::path folder = std::filesystem::path(target).parent_path();
  std::string temporary = (folder / ".whyslow.XXXXXX").string();
  UniqueFd fd(mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd) {
    return ErrnoStatus(errno, path);
  }
  absl::Status status = WriteTo(fd.get(), path, write);
  // No fsync: it waits for the disk, for many seconds on a busy machine, and would only help
  // against a power cut. Local file systems have reserved the space by now; remote ones speak up at
  // close.
  if (close(fd.Release()) != 0 && errno != EINTR && status.ok()) {
    status = ErrnoStatus(errno, path);
  }
  if (status.ok() && rename(temporary.c_str(), target.c_str()) != 0) {
    status = ErrnoStatus(errno, path);
  }
  if (!status.ok()) {
    unlink(temporary.c_str());
  }
  return status;
}

}  // namespace whyslow
