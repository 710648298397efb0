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
  // Gives the mapping a descriptor of its own, and the root of its process;
  // none for memory without a file, and where neither /proc/PID/map_files nor the path leads to the
  // very file that was mapped.
  void Open(MappingAdded& mapping);

 private:
  struct Root {
    std::shared_ptr<const RootFolder> folder;  // null: our own, or we may not look
    std::string path;                          // of the folder, as we see it
  };
  struct Opened {
    UniqueFd file;
    Root root;
  };
  Root RootOf(Pid pid);

  absl::flat_hash_map<std::string, Opened> opened_;  // by device and inode
  // By mount namespace and folder.
  absl::flat_hash_map<std::string, Root> roots_;
};

}  // namespace whyslow
