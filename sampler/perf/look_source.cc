#include "sampler/perf/look_source.h"

#include <absl/strings/str_format.h>

#include <chrono>
#include <utility>

#include "base/status.h"
#include "sampler/perf/thread_look.h"
#include "sampler/target/target_memory.h"

namespace whyslow {
namespace {

constexpr uint32_t kStackBytes = 256 * 1024;
constexpr auto kPause = std::chrono::milliseconds(50);

}  // namespace

absl::StatusOr<std::unique_ptr<LookSource>> LookSource::Open(const std::vector<Pid>& targets) {
  std::unique_ptr<LookSource> source(new LookSource(targets));
  source->scan_.FindMore();
  if (source->scan_.processes().empty()) {
    return MakeStatus(absl::StatusCode::kNotFound,
                      absl::StrFormat("process %d: it ended before it could be looked at",
                                      Number(targets.front())));
  }
  for (const auto& [pid, threads] : source->scan_.processes()) {
    if (!MayLookAt(pid)) {
      return MakeStatus(absl::StatusCode::kPermissionDenied,
                        absl::StrFormat("process %d: reading its memory is not permitted. Grant "
                                        "CAP_SYS_PTRACE, or `sysctl kernel.yama.ptrace_scope=0`",
                                        Number(pid)));
    }
  }
  source->started_at_ = MonotonicClock::now();
  return source;
}

void LookSource::Stop() {
  const std::lock_guard lock(mutex_);
  stop_ = true;
  stopped_.notify_all();
}

bool LookSource::Read(std::vector<Event>& out) {
  if (has_ended_) {
    return false;
  }
  if (!std::exchange(has_begun_, true)) {
    out = scan_.Describe(started_at_);
    return true;
  }
  std::unique_lock lock(mutex_);
  stopped_.wait_for(lock, kPause, [this] { return stop_; });
  if (stop_) {
    has_ended_ = true;
    LookAtAll(out);
    ended_at_ = MonotonicClock::now();
  }
  return true;
}

void LookSource::LookAtAll(std::vector<Event>& out) {
  for (const auto& [pid, threads] : scan_.processes()) {
    for (const AttachScan::Thread& thread : threads) {
      LookAtThread(pid, thread.tid, out);
    }
  }
}

void LookSource::LookAtThread(Pid pid, Tid tid, std::vector<Event>& out) {
  // One that waits in slices has a good chance to sleep the next time.
  constexpr int kTries = 3;
  StopSeen seen;
  LookOutcome outcome = LookOutcome::kWentOn;
  for (int i = 0; i < kTries && outcome == LookOutcome::kWentOn; ++i) {
    seen = {};
    outcome = LookAt(pid, tid, kStackBytes, seen);
  }
  if (outcome != LookOutcome::kSeen) {
    return;
  }
  WaitStack& stack = seen.stack;
  stack.id = WaitStackId{++stacks_};
  stack.is_of_sleeper = true;
  WaitsEnded waits{.pid = pid,
                   .tid = tid,
                   .stack = stack.id,
                   .why = seen.why,
                   .uninterruptible = seen.uninterruptible,
                   .system_call = stack.system_call,
                   .still_waiting = 1};
  const auto descriptor = WaitedDescriptor(stack.system_call, stack.arguments, LiveMemory(pid));
  waits.object = descriptor ? descriptors_.Find(pid, *descriptor) : nullptr;
  waits.times.Add(0);
  out.push_back({.when = seen.when, .what = std::move(stack)});
  out.push_back({.when = seen.when, .what = std::move(waits)});
}

}  // namespace whyslow
