#include "sampler/perf/run_time_ledger.h"

#include <algorithm>

namespace whyslow {

void RunTimeLedger::SwitchedIn(size_t cpu_index, Thread thread, Instant when) {
  cpus_[cpu_index] = {.thread = thread, .since = when, .known = true};
}

RunTimeLedger::Thread RunTimeLedger::SwitchedOut(size_t cpu_index, Thread thread, Instant when) {
  const Running running = cpus_[cpu_index];
  Forget(cpu_index);
  if (running.thread.tid != kNoTid) {
    thread = running.thread;
  }
  if (running.known && thread.tid != kNoTid) {
    Total& total = totals_[thread.tid];
    total.sum += std::max(when - std::max(running.since, total.from), Nanoseconds());
  }
  return thread;
}

Nanoseconds RunTimeLedger::Take(Tid tid) {
  const auto total = totals_.find(tid);
  if (total == totals_.end()) {
    return {};
  }
  const Nanoseconds sum = total->second.sum;
  totals_.erase(total);
  return sum;
}

}  // namespace whyslow
