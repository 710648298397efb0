// Files that can be made again at any time, kept between runs so that they need not be.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/unique_fd.h"

namespace whyslow {

// A folder that only its owner can write to, so that what is read back is what was written by the
// same user. Still everything is checked: a file that is another's, that others may write to, that
// is a link, or of which one byte is not what was written, counts as missing. Each kind of content
// has its own limit; the files that were not used for longest go first.
//
// Thread-safe; several processes may use one folder (the last one to write a name wins).
class DiskCache {
 public:
  // Makes the folder (mode 0700) when it is missing. kPermissionDenied: it, or the folder that it
  // lies in, belongs to someone else, or others may write to it. `kind`: lower-case letters, the
  // beginning of the names of all its files. `owner`: who must own the folder and the files.
  static absl::StatusOr<DiskCache> Open(const std::string& folder, std::string kind,
                                        uint64_t max_bytes, uid_t owner = geteuid());

  // $XDG_CACHE_HOME/whyslow or ~/.cache/whyslow; an error when neither variable holds a full path,
  // or when that one is not the effective user's own: with sudo it can be somebody else's.
  static absl::StatusOr<std::string> FolderOfUser();

  // What was written under `name`; kNotFound when there is nothing, kDataLoss and
  // kPermissionDenied when it must not be used. Counts as a use.
  absl::StatusOr<std::string> Read(std::string_view name) const;

  // Replaces what is there under `name` in one step, then removes the oldest files beyond the
  // limit. `name`: letters, digits, '-', '_', at most 200.
  absl::Status Write(std::string_view name, std::string_view content) const;

 private:
  DiskCache(UniqueFd folder, std::string kind, uint64_t max_bytes, uid_t owner)
      : folder_(std::move(folder)), kind_(std::move(kind)), max_bytes_(max_bytes), owner_(owner) {}

  absl::StatusOr<std::string> FileName(std::string_view name) const;
  absl::StatusOr<UniqueFd> OpenChecked(const std::string& file) const;
  absl::Status WriteTemporary(const std::string& temporary, const std::string& file,
                              std::string_view content) const;
  void RemoveOldest() const;

  UniqueFd folder_;
  std::string kind_;
  uint64_t max_bytes_;
  uid_t owner_;
};

}  // namespace whyslow
