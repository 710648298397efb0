// What is kept on disk from one run to the next: unwind tables, names.
#pragma once

#include <absl/status/statusor.h>

#include <memory>
#include <string>

#include "base/disk_cache.h"
#include "base/status.h"

namespace whyslow {

// In that directory; empty: in the user's own.
template <class Cache>
absl::StatusOr<std::unique_ptr<Cache>> OpenCache(const std::string& directory) {
  if (!directory.empty()) {
    return Cache::Open(directory);
  }
  ASSIGN_OR_RETURN(const std::string own, DiskCache::FolderOfUser());
  return Cache::Open(own);
}

}  // namespace whyslow
