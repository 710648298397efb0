#include "sampler/perf/thread_times.h"

#include "sampler/perf/proc_scan.h"

namespace whyslow {
namespace {

constexpr size_t kThreadsPerSecond = 1000;

}  // namespace

void ThreadTimes::AddBaseline(Pid pid, Tid tid, std::vector<Event>& out) {
  const Nanoseconds total = ReadRunTime(pid, tid).value_or(Nanoseconds());
  accounts_[tid] = {.baseline = total, .total = total};
  out.push_back(
      {.when = MonotonicClock::now(),
       .what = ThreadRunTime{.pid = pid, .tid = tid, .total = total, .is_baseline = true}});
}

Nanoseconds ThreadTimes::BaselineOf(Tid tid) const {
  const auto account = accounts_.find(tid);
  return account == accounts_.end() ? Nanoseconds()
                                    : account->second.baseline.value_or(Nanoseconds());
}

void ThreadTimes::PollThread(Pid pid, Tid tid, bool process_has_ended, std::vector<Event>& out) {
  // An exit report is on its way for a while; only who is missing twice has none coming.
  constexpr int kMissingForGood = 2;
  const std::optional<Nanoseconds> total = ReadRunTime(pid, tid);
  Account& account = accounts_[tid];
  account.times_missing = total && !process_has_ended ? 0 : account.times_missing + 1;
  const Instant now = MonotonicClock::now();
  if (total && *total != account.total) {
    account.total = *total;
    out.push_back({.when = now, .what = ThreadRunTime{.pid = pid, .tid = tid, .total = *total}});
  }
  if (account.times_missing >= kMissingForGood) {
    out.push_back({.when = now, .what = ThreadExited{.pid = pid, .tid = tid}});
  }
}

void ThreadTimes::Poll(const TargetSet& targets, Round round, std::vector<Event>& out) {
  size_t count = 0;
  for (const auto& [pid, threads] : targets.processes()) {
    const auto stat = ReadProcStat(pid);
    // A main thread may end before the others; then it stays a zombie until they have.
    const bool ended = !stat || (stat->has_ended() && threads.size() <= 1);
    for (const Tid tid : threads) {
      if (accounts_[tid].is_closed) {
        continue;
      }
      PollThread(pid, tid, ended, out);
      accounts_[tid].is_closed = round == Round::kLast;
    }
    count += threads.size();
  }
  next_ = MonotonicClock::now() + std::chrono::seconds(1 + count / kThreadsPerSecond);
}

void ThreadTimes::Forget(Tid tid) { accounts_.erase(tid); }

}  // namespace whyslow
