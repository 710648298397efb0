#include "sampler/perf/run_time_ledger.h"

#include <algorithm>
#include <utility>

namespace whyslow {

void RunTimeLedger::Total::AddUpTo(Instant out) {
  if (in) {
    sum += std::max(out - std::max(*in, from), Nanoseconds());
    in.reset();
  }
}

void RunTimeLedger::SwitchedIn(size_t cpu_index, Thread thread, Instant when) {
  cpus_[cpu_index] = {.thread = thread, .switch_seen = true};
  totals_[thread.tid].in = when;
}

RunTimeLedger::Thread RunTimeLedger::SwitchedOut(size_t cpu_index, Thread thread, Instant when) {
  const Running running =
      std::exchange(cpus_[cpu_index], {.thread = Thread(), .switch_seen = true});
  if (running.thread.tid != kNoTid) {
    thread = running.thread;
  } else if (!running.switch_seen && thread.tid != kNoTid) {
    totals_[thread.tid].in = began_;
  }
  if (const auto total = totals_.find(thread.tid); total != totals_.end()) {
    total->second.AddUpTo(when);
  }
  return thread;
}

void RunTimeLedger::OtherSwitchedIn(size_t cpu_index) {
  cpus_[cpu_index] = {.thread = Thread(), .switch_seen = true};
}

void RunTimeLedger::Lost(size_t cpu_index) {
  if (const auto total = totals_.find(cpus_[cpu_index].thread.tid); total != totals_.end()) {
    total->second.in.reset();
  }
  OtherSwitchedIn(cpu_index);
}

Nanoseconds RunTimeLedger::Close(Tid tid, Instant ended) {
  const auto total = totals_.find(tid);
  if (total == totals_.end()) {
    return {};
  }
  total->second.AddUpTo(ended);
  const Nanoseconds sum = total->second.sum;
  totals_.erase(total);
  return sum;
}

}  // namespace whyslow
