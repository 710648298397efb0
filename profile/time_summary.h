// A profile's time in few numbers: on CPUs, waiting by kind, idle; in all and for each thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "profile/profile.h"
#include "profile/wait_kind.h"

namespace whyslow {

struct KindTime {
  WaitKind kind = WaitKind::kUnknown;
  int64_t count = 0;
  int64_t total = 0;  // nanoseconds, like all times here
  int64_t idle = 0;   // so much of it belongs to threads that had nothing to do
};

// Numbers are nullopt where the profile has no such column.
struct TimeSums {
  std::optional<int64_t> cpu;
  std::optional<int64_t> wait;
  std::optional<int64_t> wall;
  int64_t idle = 0;
  std::vector<KindTime> kinds;  // greatest total first
};

// 0: the number is unknown.
struct ThreadTime {
  std::string name;
  std::string process;
  int64_t pid = 0;
  int64_t tid = 0;
  TimeSums times;
};

struct TimeSummary {
  TimeSums whole;
  std::vector<ThreadTime> threads;  // greatest wall time first, else greatest CPU time
};

TimeSummary SummarizeTime(const Profile& profile);

}  // namespace whyslow
