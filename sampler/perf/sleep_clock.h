// For how long a thread has not run, also before anybody watched: from the scheduler's own account
// in /proc.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <optional>
#include <string_view>

#include "base/ids.h"
#include "base/time.h"

namespace whyslow {

// se.exec_start in /proc/PID/task/TID/sched: when the thread's time on a CPU was charged last, by
// the clock of that CPU. Of a thread that does not run: when it left it.
std::optional<Nanoseconds> ParseLastRun(std::string_view sched);

// The CPU that the thread was on last, in /proc/PID/task/TID/stat.
std::optional<Cpu> ParseLastCpu(std::string_view stat);

// Time of a CPU since the start that its scheduler's clock may leave out, in /proc/stat: interrupts
// and what the hypervisor took.
std::optional<Nanoseconds> ParseTakenTime(std::string_view stat, Cpu cpu);

// The scheduler's clocks have no file of their own: a thread of ours goes to the CPU in question,
// once, and reads when it came to run there.
class SleepClock {
 public:
  struct Rest {
    Nanoseconds time{};
    // The clock of the CPU stands still in interrupts and while the hypervisor runs others: that
    // could be more than a hundredth of this time.
    bool may_be_longer = false;
  };

  // nullopt: the kernel does not tell (it is built without CONFIG_SCHED_DEBUG), or we may not run
  // on that CPU. Of a thread that runs it means nothing.
  std::optional<Rest> RestOf(Pid pid, Tid tid);

 private:
  struct CpuClock {
    Instant when;
    Nanoseconds scheduler{};
    Nanoseconds taken{};
  };
  const std::optional<CpuClock>& ClockOf(Cpu cpu);

  absl::flat_hash_map<Cpu, std::optional<CpuClock>> clocks_;
};

}  // namespace whyslow
