// Which of the kernel's threads a Python thread state belongs to.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <optional>

#include "base/ids.h"
#include "sampler/python/thread_walk.h"
#include "sampler/target/target_memory.h"

namespace whyslow {

class ThreadNumbers {
 public:
  explicit ThreadNumbers(Pid pid) : pid_(pid) {}

  // Reads /proc/PID/task. A process in a container has its own numbers, which the kernel tells.
  void Refresh();

  // By the number that Python remembers, else (before 3.11, or from before a fork) by that which
  // the C library keeps for the thread: each only if it is one of the process's threads. As of the
  // last Refresh.
  std::optional<Tid> Find(const PythonThread& thread, const TargetMemory& memory) const;

 private:
  std::optional<Tid> FindNumber(uint64_t number) const;

  Pid pid_;
  absl::flat_hash_map<int32_t, Tid> by_own_number_;  // by what gettid() says there
};

}  // namespace whyslow
