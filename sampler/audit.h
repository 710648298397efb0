// What a capture knows about its own faults: losses, unfinished stacks, its own cost.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/time.h"

namespace whyslow {

struct Audit {
  uint64_t samples = 0;
  uint64_t lost_in_kernel = 0;                // no room in a ring
  uint64_t shed_samples = 0;                  // dropped by us under load
  uint64_t shortened_stacks = 0;              // cut by us under load
  uint64_t throttled = 0;                     // times that the kernel paused the clock
  std::map<std::string, uint64_t> truncated;  // by reason
  bool waits_measured = false;
  uint64_t wait_stacks = 0;          // copied, unwound
  uint64_t wait_stacks_checked = 0;  // copied again to see whether they are the same
  uint64_t wait_stacks_wrong = 0;    // and were not
  uint64_t waits = 0;                // switches out, told with their time
  uint64_t lost_waits = 0;           // told by nothing
  uint64_t waits_without_stack = 0;  // or with that of a similar wait
  uint64_t python_stacks = 0;        // of samples, with Python frames
  uint64_t python_stacks_apart = 0;  // of these: whose native frames do not tell where they belong
  Nanoseconds exact_cpu{};           // of the target, from the scheduler
  Nanoseconds sampled_cpu{};         // that the samples stood for before scaling
  bool samples_all_modes = false;    // on all CPUs, user and kernel: the two should agree
  uint64_t tables_compiled = 0;      // unwind tables, where they are cached
  uint64_t tables_loaded = 0;        // from the cache
  std::string table_cache_problem;   // why none is kept; empty: nothing went wrong
  Nanoseconds first_stack{};         // from the attach to the first stack known; 0: none
  Nanoseconds own_cpu{};             // of the profiler
  Nanoseconds duration{};

  uint64_t lost() const { return lost_in_kernel + shed_samples; }
  uint64_t truncated_total() const {
    uint64_t total = 0;
    for (const auto& [reason, count] : truncated) {
      total += count;
    }
    return total;
  }
};

}  // namespace whyslow
