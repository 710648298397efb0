// A tree of files as a process sees it that has another root than we have: in a container, a
// chroot.
#pragma once

#include <absl/status/statusor.h>

#include <string>

#include "base/ids.h"
#include "base/unique_fd.h"

namespace whyslow {

// Keeps the tree reachable when the process is gone. Thread-safe.
class RootFolder {
 public:
  // Of a process by our number for it. Fails where /proc/PID/root may not be read.
  static absl::StatusOr<RootFolder> Of(Pid pid);

  // As OpenReadOnly() would do there: symbolic links, also absolute ones, lead nowhere outside.
  absl::StatusOr<UniqueFd> OpenReadOnly(const std::string& path, bool regular_only) const;

  const UniqueFd& fd() const { return fd_; }

 private:
  explicit RootFolder(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

// In `root`, or where it is null in our own tree.
absl::StatusOr<UniqueFd> OpenReadOnlyIn(const RootFolder* root, const std::string& path,
                                        bool regular_only);

}  // namespace whyslow
