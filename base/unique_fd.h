// A file descriptor with one owner, closed when the owner goes.
#pragma once

#include <absl/status/statusor.h>
#include <unistd.h>

#include <string>
#include <utility>

namespace whyslow {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) {
      Reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { Reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int Release() { return std::exchange(fd_, -1); }
  void Reset() {
    if (fd_ >= 0) {
      close(fd_);
      fd_ = -1;
    }
  }

 private:
  int fd_ = -1;
};

// Opens for reading, close-on-exec. O_NONBLOCK is set and the file must be a regular one where
// `regular_only`: a name chosen by the target may lead to a pipe or a device.
absl::StatusOr<UniqueFd> OpenReadOnly(const std::string& path, bool regular_only = false);

// `path` is for the message.
absl::Status CheckRegular(const UniqueFd& fd, const std::string& path);

}  // namespace whyslow
