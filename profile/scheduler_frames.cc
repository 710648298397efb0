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

bool IsKernels(const Profile& profile, const Location& location) {
  return location.module.valid() && profile.ModuleAt(location.module).kind == ModuleKind::kKernel;
}

bool IsSchedulerFrame(const Profile& profile, const Location& location) {
  return std::ranges::all_of(location.lines, [&](const Line& line) {
    return line.function.valid() &&
           IsSchedulers(profile.Text(profile.FunctionAt(line.function).name));
  });
}

}  // namespace

StackIndex WithoutSchedulerFrames(const Profile& profile, StackIndex stack) {
  StackIndex callers = stack;
  for (StackIndex at = stack; at.valid(); at = profile.StackAt(at).parent) {
    const Location& location = profile.LocationAt(profile.StackAt(at).location);
    if (!IsKernels(profile, location)) {
      break;
    }
    if (location.lines.empty()) {
      continue;  // a tracing program that is gone, if the scheduler called it
    }
    if (!IsSchedulerFrame(profile, location)) {
      break;
    }
    callers = profile.StackAt(at).parent;
  }
  return callers;
}

}  // namespace whyslow
