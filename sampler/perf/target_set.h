// Which processes are profiled: the given ones and, where wanted, every process they start.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include "base/ids.h"
#include "sampler/event.h"

namespace whyslow {

// Fed with every event in time order; says which of them are the target's.
class TargetSet {
 public:
  explicit TargetSet(bool follow_children) : follow_children_(follow_children) {}

  // A thread found alive at the attach. All of them are added before the first event is applied:
  // the records of threads that came and went just before must not make their process look ended.
  void AddThread(Pid pid, Tid tid) { processes_[pid].insert(tid); }

  // True: the event belongs to a target process (or to none, as losses do). Follows forks, exits
  // and execs.
  bool Apply(const Event& event);

  bool Contains(Pid pid) const { return processes_.contains(pid); }
  // All target processes have ended.
  bool empty() const { return processes_.empty(); }

  using Threads = absl::flat_hash_set<Tid>;
  const absl::flat_hash_map<Pid, Threads>& processes() const { return processes_; }

 private:
  bool Start(const ThreadStarted& started);
  bool Exit(const ThreadExited& exited);
  bool Name(const ThreadNamed& named);

  bool follow_children_;
  absl::flat_hash_map<Pid, Threads> processes_;
};

}  // namespace whyslow
