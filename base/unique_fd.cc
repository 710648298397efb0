#include "base/unique_fd.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/status.h"

namespace whyslow {

absl::Status CheckRegular(const UniqueFd& fd, const std::string& path) {
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) {
    return ErrnoStatus(errno, path);
  }
  if (!S_ISREG(info.st_mode)) {
    return MakeStatus(absl::StatusCode::kInvalidArgument, path + ": not a regular file");
  }
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> OpenReadOnly(const std::string& path, bool regular_only) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) {
    return ErrnoStatus(errno, path);
  }
  if (regular_only) {
    RETURN_IF_ERROR(CheckRegular(fd, path));
  }
  return fd;
}

}  // namespace whyslow
