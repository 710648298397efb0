#include "sampler/perf/target_set.h"

#include <type_traits>
#include <variant>

namespace whyslow {

bool TargetSet::Start(const ThreadStarted& started) {
  const bool is_process = started.parent_pid != started.pid;
  const bool is_child = is_process && follow_children_ && Contains(started.parent_pid);
  if (is_child || Contains(started.pid)) {
    processes_[started.pid].insert(started.tid);
    return true;
  }
  return false;
}

bool TargetSet::Exit(const ThreadExited& exited) {
  const auto process = processes_.find(exited.pid);
  if (process == processes_.end()) {
    return false;
  }
  process->second.erase(exited.tid);
  if (process->second.empty()) {
    processes_.erase(process);
  }
  return true;
}

bool TargetSet::Name(const ThreadNamed& named) {
  const auto process = processes_.find(named.pid);
  if (process == processes_.end()) {
    return false;
  }
  if (named.exec) {
    // Whichever thread called exec goes on as the main thread; the kernel reports no exit of the
    // number it had before.
    process->second = {MainThreadOf(named.pid)};
  }
  return true;
}

bool TargetSet::Apply(const Event& event) {
  return std::visit(
      [this](const auto& what) {
        using What = std::decay_t<decltype(what)>;
        if constexpr (std::is_same_v<What, ThreadStarted>) {
          return Start(what);
        } else if constexpr (std::is_same_v<What, ThreadExited>) {
          return Exit(what);
        } else if constexpr (std::is_same_v<What, ThreadNamed>) {
          return Name(what);
        } else if constexpr (std::is_same_v<What, EventsLost> ||
                             std::is_same_v<What, KernelCodeChanged> ||
                             std::is_same_v<What, ThreadRunTime> ||
                             std::is_same_v<What, WaitStack> || std::is_same_v<What, WaitsEnded> ||
                             std::is_same_v<What, PythonStack>) {
          // Run times and waits are of targets only, and come perhaps after the process's end.
          return true;
        } else {
          return Contains(what.pid);
        }
      },
      event.what);
}

}  // namespace whyslow
