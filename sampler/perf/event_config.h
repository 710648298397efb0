// Options to perf_event_attr: what is asked of the kernel, as values, without asking.
#pragma once

#include <linux/perf_event.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "sampler/perf/sampler_options.h"

namespace whyslow {

inline constexpr uint32_t kMaxFrequencyHz = 10000;
// A record's size is 16 bits wide and the rest of it needs room too.
inline constexpr uint32_t kMaxStackBytes = 63 * 1024;

// What this kernel and this user allow, found out by trying.
struct EventRights {
  bool kernel_mode = true;     // samples in kernel mode and their callchains
  bool kernel_symbols = true;  // records of code that the kernel gets later (5.1)
};

// Frequency within 1 .. 10000 and the kernel's own limit (perf_event_max_sample_rate, nullopt:
// unknown), stack bytes a multiple of 8. Says in `warnings` what it changed.
SamplerOptions WithinLimits(SamplerOptions options, std::optional<uint32_t> max_sample_rate,
                            std::vector<std::string>& warnings);

// The clock that takes the samples. Disabled until told.
perf_event_attr SamplingAttributes(const SamplerOptions& options, EventRights rights);

// Mappings, names, forks and exits; wakes the reader at once, for a file can be gone a millisecond
// after it was mapped. Enabled from the start: nothing may happen unseen during the attach.
perf_event_attr SidebandAttributes(EventRights rights);

// Context switches as times only, on a ring of their own: a storm of them loses no sample.
perf_event_attr SwitchAttributes();

// A sample of each thread that leaves its CPU, with registers and the kernel's stack, and with a
// copy of the user's stack or without. Nobody is woken: what the ring has no room for is left out,
// which is what bounds the rate. Always of one task: of a whole CPU it would copy everybody's
// stack.
enum class StopKind : uint8_t { kBare, kWithCopy };
perf_event_attr StopAttributes(const SamplerOptions& options, StopKind kind);

// Makes an event of one thread follow the threads (and the processes, where wanted) it starts.
void MakeInherited(perf_event_attr& attr, bool follow_children);

// Sizes of one CPU's rings in bytes, powers of two.
struct RingPlan {
  size_t sampling = 0;
  size_t sideband = 0;
  size_t switches = 0;
  size_t stops = 0;
  size_t stop_copies = 0;
};

// Room for about 150 ms of a busy CPU, all CPUs together within 40 MB, and within `locked_budget`
// where the kernel limits what this user may lock.
RingPlan PlanRings(const SamplerOptions& options, size_t cpus, std::optional<size_t> locked_budget);

// "0-3,8,10-11", as in /sys/devices/system/cpu/online. What does not parse is left out.
std::vector<Cpu> ParseCpuList(std::string_view text);

}  // namespace whyslow
