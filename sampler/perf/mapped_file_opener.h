// Opens the file behind a mapping while it can still be reached.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <memory>
#include <string>

#include "base/unique_fd.h"
#include "sampler/event.h"

namespace whyslow {

// Keeps what it opened for a while: a hundred workers map the same libraries, and a process of five
// milliseconds is gone before its program can be opened through it.
class MappedFileOpener {
 public:
  // A descriptor of its own for each mapping; null for memory without a file, and where neither
  // /proc/PID/map_files nor the path leads to the very file that was mapped.
  std::shared_ptr<UniqueFd> Open(const MappingAdded& mapping);

 private:
  absl::flat_hash_map<std::string, UniqueFd> opened_;  // by build ID, else device and inode
};

}  // namespace whyslow
