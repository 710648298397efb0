#include "base/root_folder.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/status.h"

namespace whyslow {
namespace {

int OpenInside(int root, const std::string& path, int flags) {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags);
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  const auto fd = static_cast<int>(syscall(SYS_openat2, root, path.c_str(), &how, sizeof(how)));
  if (fd >= 0 || errno != ENOSYS) {
    return fd;
  }
  // Before Linux 5.6: absolute symbolic links lead into our own tree.
  const size_t name = path.find_first_not_of('/');
  return openat(root, name == std::string::npos ? "." : path.c_str() + name, flags);
}

}  // namespace

absl::StatusOr<RootFolder> RootFolder::Of(Pid pid) {
  const std::string path = "/proc/" + std::to_string(Number(pid)) + "/root";
  UniqueFd fd(open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) {
    return ErrnoStatus(errno, path);
  }
  return RootFolder(std::move(fd));
}

absl::StatusOr<UniqueFd> RootFolder::OpenReadOnly(const std::string& path,
                                                  bool regular_only) const {
  UniqueFd fd(OpenInside(fd_.get(), path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) {
    return ErrnoStatus(errno, path);
  }
  if (regular_only) {
    RETURN_IF_ERROR(CheckRegular(fd, path));
  }
  return fd;
}

absl::StatusOr<UniqueFd> OpenReadOnlyIn(const RootFolder* root, const std::string& path,
                                        bool regular_only) {
  return root != nullptr ? root->OpenReadOnly(path, regular_only)
                         : OpenReadOnly(path, regular_only);
}

}  // namespace whyslow
