#include "sampler/perf/attach_scan.h"

#include <algorithm>
#include <utility>

#include "sampler/perf/proc_scan.h"

namespace whyslow {

std::vector<AttachScan::Thread> AttachScan::FindMore() {
  std::vector<Thread> more;
  for (const Pid pid : follow_children_ ? ReadProcessTree(roots_) : roots_) {
    for (const Tid tid : ReadThreads(pid)) {
      if (seen_.contains(tid)) {
        continue;
      }
      const auto stat = ReadProcStat(pid, tid);
      if (!stat || stat->has_ended()) {
        continue;  // its exit may have been reported before our events were open
      }
      seen_.insert(tid);
      more.push_back({.pid = pid, .tid = tid, .name = stat->name});
      processes_[pid].push_back(more.back());
    }
  }
  return more;
}

std::vector<Event> AttachScan::Describe(Instant at) const {
  std::vector<Event> events;
  MappedFileOpener opener;
  const auto describe = [&](const Thread& thread) {
    events.push_back({.when = at, .what = ThreadStarted{.pid = thread.pid, .tid = thread.tid}});
    events.push_back(
        {.when = at,
         .what = ThreadNamed{.pid = thread.pid, .tid = thread.tid, .name = thread.name}});
  };
  for (const auto& [pid, threads] : processes_) {
    const auto is_main = [main = MainThreadOf(pid)](const Thread& t) { return t.tid == main; };
    std::for_each(threads.begin(), threads.end(),
                  [&](const Thread& t) { is_main(t) ? describe(t) : void(); });
    for (MappingAdded& mapping : ReadExecutableMappings(pid)) {
      opener.Open(mapping);
      events.push_back({.when = at, .what = std::move(mapping)});
    }
    std::for_each(threads.begin(), threads.end(),
                  [&](const Thread& t) { is_main(t) ? void() : describe(t); });
  }
  return events;
}

}  // namespace whyslow
