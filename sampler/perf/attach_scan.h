// Finds what is there when a capture begins: processes, their threads, names and mappings.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <string>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "sampler/event.h"
#include "sampler/perf/mapped_file_opener.h"

namespace whyslow {

// While /proc is read, threads and processes go on being made. The kernel's events are open by
// then and tell of every new one; what was there before is found by looking until nothing more is
// found.
class AttachScan {
 public:
  AttachScan(std::vector<Pid> roots, bool follow_children)
      : roots_(std::move(roots)), follow_children_(follow_children) {}

  struct Thread {
    Pid pid = kNoPid;
    Tid tid = kNoTid;
    std::string name;
  };

  // Looks once. Only those not found before.
  std::vector<Thread> FindMore();
  // Everything found, as events: a process's main thread, its mappings, its other threads.
  std::vector<Event> Describe(Instant at) const;

  using Threads = absl::flat_hash_map<Pid, std::vector<Thread>>;
  const Threads& processes() const { return processes_; }

 private:
  std::vector<Pid> roots_;
  bool follow_children_;
  absl::flat_hash_map<Pid, std::vector<Thread>> processes_;
  absl::flat_hash_set<Tid> seen_;
};

}  // namespace whyslow
