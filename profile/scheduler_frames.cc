#include "profile/scheduler_frames.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace whyslow {
namespace {

constexpr std::array<std::string_view, 8> kPrefixes = {
    "bpf_prog_",        "bpf_trace_run",      "__bpf_trace_", "__traceiter_",
    "schedule_timeout", "schedule_hrtimeout", "io_schedule",  "__bpf_prog_"};

// Those that the kernel keeps in its section .sched.text and that only sleep.
constexpr std::array<std::string_view, 12> kNames = {"schedule",
                                                     "__schedule",
                                                     "do_nanosleep",
                                                     "schedule_preempt_disabled",
                                                     "preempt_schedule",
                                                     "preempt_schedule_irq",
                                                     "preempt_schedule_common",
                                                     "__cond_resched",
                                                     "futex_do_wait",
                                                     "schedule_idle",
                                                     "perf_trace_sched_switch",
                                                     "__perf_event_task_sched_out"};

bool IsSchedulers(std::string_view name) {
  return std::ranges::find(kNames, name) != kNames.end() ||
         std::ranges::any_of(kPrefixes,
                             [name](std::string_view prefix) { return name.starts_with(prefix); });
}

bool IsSchedulerFrame(const Profile& profile, LocationIndex index) {
  const Location& location = profile.LocationAt(index);
  if (!location.module.valid() || profile.ModuleAt(location.module).kind != ModuleKind::kKernel ||
      location.lines.empty()) {
    return false;
  }
  return std::ranges::all_of(location.lines, [&](const Line& line) {
    return line.function.valid() &&
           IsSchedulers(profile.Text(profile.FunctionAt(line.function).name));
  });
}

}  // namespace

StackIndex WithoutSchedulerFrames(const Profile& profile, StackIndex stack) {
  while (stack.valid() && IsSchedulerFrame(profile, profile.StackAt(stack).location)) {
    stack = profile.StackAt(stack).parent;
  }
  return stack;
}

}  // namespace whyslow
