// Exact time on CPUs per thread, added up from context switches; for where no BPF program tells it.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstddef>
#include <vector>

#include "base/ids.h"
#include "base/time.h"

namespace whyslow {

// A thread leaves a CPU on the CPU where it came in, so that each stretch lies within one ring, and
// rings need no common order:
//
//   CPU 0   __in(A)====out__in(B)==   adds "====" to A
class RunTimeLedger {
 public:
  // Threads that run when the counting begins have no `in`.
  RunTimeLedger(size_t cpus, Instant began) : cpus_(cpus, Running{.since = began}) {}

  struct Thread {
    Pid pid = kNoPid;
    Tid tid = kNoTid;
  };
  void SwitchedIn(size_t cpu_index, Thread thread, Instant when);
  // Gives the stretch's thread: one that has ended has no number any more when it leaves its CPU
  // for the last time, so the one that came in counts.
  Thread SwitchedOut(size_t cpu_index, Thread thread, Instant when);
  // A thread of no interest runs now, or switches were lost.
  void Forget(size_t cpu_index) { cpus_[cpu_index] = {.known = false}; }

  // What this thread did before is accounted for otherwise.
  void CountFrom(Tid tid, Instant when) { totals_[tid].from = when; }
  // The sum so far, which is forgotten; zero for a thread that never ran.
  Nanoseconds Take(Tid tid);

 private:
  struct Running {
    Thread thread;
    Instant since;
    bool known = true;  // false: nothing of interest runs
  };
  std::vector<Running> cpus_;
  struct Total {
    Nanoseconds sum{};
    Instant from;
  };
  absl::flat_hash_map<Tid, Total> totals_;
};

}  // namespace whyslow
