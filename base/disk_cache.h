// Files that can be made again, kept in one directory of the user's: bounded, and safe from others.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/unique_fd.h"

namespace whyslow {

// Used by one thread; other processes may use the same directory at the same time. Everything is
// done through the directory that was opened and checked once, whatever becomes of its path.
class DiskCache {
 public:
  // Opens `directory`, and makes it (mode 0700) where only its last part is missing. An error where
  // somebody else than the effective user could have put files into it: it is a symbolic link,
  // belongs to another user, or others may write to it. `suffix` marks the files that are ours to
  // count and to remove; `max_bytes` bounds them together.
  static absl::StatusOr<DiskCache> Open(const std::string& directory, std::string suffix,
                                        uint64_t max_bytes);

  const std::string& directory() const { return directory_; }

  // The content, and the file counts as used now. NotFound when there is none; another error for
  // what is no plain file of ours, or larger than max_bytes.
  absl::StatusOr<std::string> Load(const std::string& name);
  // Replaces the file in one step and then removes those unused for longest, until all fit. `name`
  // is without a slash and ends with the suffix.
  absl::Status Store(const std::string& name, std::string_view content);
  void Remove(const std::string& name);

 private:
  DiskCache(std::string directory, UniqueFd fd, std::string suffix, uint64_t max_bytes)
      : directory_(std::move(directory)),
        fd_(std::move(fd)),
        suffix_(std::move(suffix)),
        max_bytes_(max_bytes) {}
  void RemoveOldest(const std::string& keep);

  std::string directory_;
  UniqueFd fd_;
  std::string suffix_;
  uint64_t max_bytes_;
};

// Where a program of this name keeps such files: in $XDG_CACHE_HOME, else in $HOME/.cache (made
// when missing). An error where that is not the effective user's own: with sudo and setuid they can
// be somebody else's.
absl::StatusOr<std::string> UserCacheDirectory(std::string_view program);

}  // namespace whyslow
