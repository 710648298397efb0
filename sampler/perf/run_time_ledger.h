// Exact time on CPUs per thread, added up from context switches; for where no BPF program tells it.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstddef>
#include <optional>
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
  struct Thread {
    Pid pid = kNoPid;
    Tid tid = kNoTid;
  };

  // Threads that run when the counting begins have no `in`.
  RunTimeLedger(size_t cpus, Instant began) : began_(began), cpus_(cpus) {}

  void SwitchedIn(size_t cpu_index, Thread thread, Instant when);
  // Gives the stretch's thread: one that has ended has no number any more when it leaves its CPU
  // for the last time, so the one that came in counts.
  Thread SwitchedOut(size_t cpu_index, Thread thread, Instant when);
  // A thread of no interest came in.
  void OtherSwitchedIn(size_t cpu_index);
  // Switches were lost: nobody knows for how long the thread that came in ran.
  void Lost(size_t cpu_index);

  // What this thread did before is accounted for otherwise.
  void CountFrom(Tid tid, Instant when) { totals_[tid].from = when; }
  // The sum of a thread that ended, which is forgotten; zero for one that never ran. Events that
  // belong to the thread end with it, and then no `out` is reported.
  Nanoseconds Close(Tid tid, Instant ended);

 private:
  struct Total {
    Nanoseconds sum{};
    Instant from;
    std::optional<Instant> in;  // runs since
    void AddUpTo(Instant out);
  };
  struct Running {
    Thread thread;
    bool switch_seen = false;
  };

  Instant began_;
  std::vector<Running> cpus_;
  absl::flat_hash_map<Tid, Total> totals_;
};

}  // namespace whyslow
