// The files in which a process tells what code it made: its perf map and its jitdump.
#pragma once

#include <cstdint>
#include <string>

#include "base/ids.h"
#include "base/unique_fd.h"

namespace whyslow {

// Opened while the process lives, read when the profile is made: names of code that is made after
// its samples began count too, and a process that has ended keeps its names.
class JitFiles {
 public:
  explicit JitFiles(Pid pid) : pid_(pid) {}

  // For every sample of such code. Looks for what is not open yet, rarer and rarer.
  void Look() {
    if (++looks_ >= next_look_) {
      next_look_ = looks_ * 2;
      OpenMissing();
    }
  }

  // The content by now; empty when there is no such file. ReadMap() takes a last look at both.
  std::string ReadMap();
  std::string ReadDump();

 private:
  void OpenMissing();

  Pid pid_;
  uint64_t looks_ = 0;
  uint64_t next_look_ = 1;
  UniqueFd map_;
  UniqueFd dump_;
};

}  // namespace whyslow
