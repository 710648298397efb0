// The files in which a process tells what code it made: its perf map and its jitdump.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/ids.h"
#include "base/unique_fd.h"

namespace whyslow {

// Whether a mapped file with this path is a jitdump: runtimes map theirs with the right to execute,
// so that profilers notice, and call it jit-NUMBER.dump.
bool IsJitDump(std::string_view path);

// Opened while the process lives, read when the profile is made: names of code that is made after
// its samples began count too, and a process that has ended keeps its names.
class JitFiles {
 public:
  // `may_open`: the process runs on this machine; one of a recording has only what it is given.
  JitFiles(Pid pid, bool may_open) : pid_(pid), may_open_(may_open) {}

  // For every sample of such code. Looks for the perf map while there is none, rarer and rarer.
  void Look() {
    if (++looks_ >= next_look_) {
      next_look_ = looks_ * 2;
      OpenMissing();
    }
  }

  // Shared by the processes that forked from the one that began it.
  void SetDump(std::shared_ptr<UniqueFd> dump) { dump_ = std::move(dump); }
  const std::shared_ptr<UniqueFd>& dump() const { return dump_; }

  bool has_any() const { return static_cast<bool>(map_) || dump_ != nullptr; }

  // The content by now; empty when there is no such file. ReadMap() takes a last look for one.
  std::string ReadMap();
  std::string ReadDump();

 private:
  void OpenMissing();

  Pid pid_;
  bool may_open_;
  uint64_t looks_ = 0;
  uint64_t next_look_ = 1;
  UniqueFd map_;
  std::shared_ptr<UniqueFd> dump_;
};

}  // namespace whyslow
