#include "sampler/cpu_time.h"

#include <algorithm>
#include <cmath>

namespace whyslow {
namespace {

constexpr Nanoseconds kBlockLength = std::chrono::seconds(1);
// The kernel's last word on a thread comes after its exit (RCU): wait this long for it.
constexpr Nanoseconds kLastWord = std::chrono::seconds(2);
// A server that forks for each request would otherwise leave a pool behind for each.
constexpr size_t kMaxPools = 4096;

}  // namespace

CpuTimeScaler::Thread& CpuTimeScaler::ThreadOf(Pid pid, Tid tid, Instant when) {
  const auto [row, is_new] = threads_.try_emplace(tid);
  if (is_new) {
    row->second.pid = pid;
    row->second.block_start = when;
  }
  return row->second;
}

void CpuTimeScaler::Add(Instant when, Pid pid, Tid tid, StringIndex thread_name, StackIndex stack,
                        Nanoseconds period) {
  Thread& thread = ThreadOf(pid, tid, when);
  thread.name = thread_name;
  ++thread.samples;
  sampled_time_ += period;
  Block& block = thread.block;
  block.weight += period;
  // A block holds few different stacks, and the last one is the likeliest to come again.
  const auto same = std::find_if(
      block.rows.rbegin(), block.rows.rend(),
      [&](const PendingRow& row) { return row.stack == stack && row.name == thread_name; });
  if (same != block.rows.rend()) {
    ++same->samples;
    same->weight += period;
  } else {
    block.rows.push_back({stack, thread_name, pid, tid, 1, period});
  }
  // Where the kernel's account is to come, the block waits for it.
  if (!thread.kernel_total) {
    CloseIfDue(thread, when);
  }
  SweepEnded(when);
}

void CpuTimeScaler::AddExact(Thread& thread, Nanoseconds time) {
  thread.block.exact += time;
  thread.block.has_exact = true;
  exact_time_ += time;
}

void CpuTimeScaler::Apply(Instant when, const ThreadRunTime& event) {
  Thread& thread = ThreadOf(event.pid, event.tid, when);
  if (event.is_baseline) {
    thread.kernel_total = event.total;
    return;
  }
  // A thread that began under our eyes began at zero.
  const Nanoseconds before = thread.kernel_total.value_or(Nanoseconds::zero());
  if (event.total > before) {
    AddExact(thread, event.total - before);
  }
  thread.block.has_exact = true;
  thread.kernel_total = std::max(before, event.total);
  if (thread.exited) {
    End(event.tid);
    return;
  }
  CloseBlock(thread.block);
  thread.block_start = when;
}

void CpuTimeScaler::Apply(Instant when, const SwitchIn& event) {
  ThreadOf(event.pid, event.tid, when).running_since = when;
}

void CpuTimeScaler::Apply(Instant when, const SwitchOut& event) {
  Thread& thread = ThreadOf(event.pid, event.tid, when);
  if (thread.running_since && when > *thread.running_since) {
    AddExact(thread, when - *thread.running_since);
  }
  thread.running_since.reset();
  if (thread.exited) {
    End(event.tid);
    return;
  }
  CloseIfDue(thread, when);
}

void CpuTimeScaler::Apply(Instant when, const ThreadStarted& event, StringIndex name) {
  const bool found_at_attach = event.parent_pid == kNoPid;
  if (!found_at_attach && threads_.contains(event.tid)) {
    End(event.tid);  // the number is used again; its first owner's end was lost
  }
  Thread& thread = ThreadOf(event.pid, event.tid, when);
  thread.name = name;
  thread.began_with_us = !found_at_attach;
}

void CpuTimeScaler::Rename(Tid tid, StringIndex name) {
  const auto thread = threads_.find(tid);
  if (thread != threads_.end()) {
    thread->second.name = name;
  }
}

void CpuTimeScaler::Apply(Instant when, const ThreadExited& event) {
  const auto thread = threads_.find(event.tid);
  if (thread != threads_.end()) {
    thread->second.exited = when;
  }
}

void CpuTimeScaler::CloseIfDue(Thread& thread, Instant when) {
  if (when - thread.block_start < kBlockLength) {
    return;
  }
  if (thread.running_since && when > *thread.running_since) {
    AddExact(thread, when - *thread.running_since);
    thread.running_since = when;
  }
  CloseBlock(thread.block);
  thread.block_start = when;
}

void CpuTimeScaler::CloseBlock(Block& block) {
  if (block.rows.empty()) {
    return;  // exact time without a sample waits for one
  }
  const double scale =
      block.has_exact && block.weight > Nanoseconds::zero()
          ? static_cast<double>(block.exact.count()) / static_cast<double>(block.weight.count())
          : 1.0;
  // Rounded so that the rows add up to the block exactly: each row gets the difference of two sums.
  Nanoseconds weight_so_far{};
  Nanoseconds given{};
  for (const PendingRow& row : block.rows) {
    weight_so_far += row.weight;
    const Nanoseconds until(std::llround(static_cast<double>(weight_so_far.count()) * scale));
    rows_.push_back({row.pid, row.tid, row.name, row.stack, row.samples, until - given});
    given = until;
  }
  block.rows.clear();
  block.exact = Nanoseconds::zero();
  block.weight = Nanoseconds::zero();
}

void CpuTimeScaler::End(Tid tid) {
  const auto found = threads_.find(tid);
  Thread thread = std::move(found->second);
  threads_.erase(found);
  const bool short_lived = thread.began_with_us && thread.samples < kFewSamples;
  if (!short_lived) {
    if (thread.block.rows.empty() && thread.block.exact > Nanoseconds::zero()) {
      rows_.push_back({thread.pid, tid, thread.name, StackIndex(), 0, thread.block.exact});
    }
    CloseBlock(thread.block);
    return;
  }
  const bool is_process = tid == MainThreadOf(thread.pid);
  const Pid pool_pid = is_process ? kNoPid : thread.pid;
  Pool& pool = pools_[{pool_pid, thread.name}];
  const bool singled = !thread.block.rows.empty() && pool.singled < kMaxSingled;
  pool.singled += singled ? 1 : 0;
  for (PendingRow& row : thread.block.rows) {
    row.tid = singled ? tid : kNoTid;
    row.pid = singled ? thread.pid : pool_pid;
    pool.block.rows.push_back(row);
  }
  pool.block.exact += thread.block.exact;
  pool.block.weight += thread.block.weight;
  pool.block.has_exact = pool.block.has_exact || thread.block.has_exact;
}

void CpuTimeScaler::SweepEnded(Instant when) {
  if (when - last_sweep_ < kBlockLength) {
    return;
  }
  last_sweep_ = when;
  std::vector<Tid> ended;
  for (const auto& [tid, thread] : threads_) {
    if (thread.exited && when - *thread.exited > kLastWord) {
      ended.push_back(tid);
    }
  }
  for (const Tid tid : ended) {
    End(tid);
  }
  for (auto& [key, pool] : pools_) {
    CloseBlock(pool.block);
  }
  if (pools_.size() > kMaxPools) {
    absl::erase_if(pools_, [](const auto& row) {
      return row.second.block.rows.empty() && row.second.block.exact == Nanoseconds::zero();
    });
  }
}

void CpuTimeScaler::Finish(Instant when) {
  std::vector<Tid> all;
  for (auto& [tid, thread] : threads_) {
    if (thread.running_since && when > *thread.running_since) {
      AddExact(thread, when - *thread.running_since);
    }
    all.push_back(tid);
  }
  std::sort(all.begin(), all.end());
  for (const Tid tid : all) {
    End(tid);
  }
  for (auto& [key, pool] : pools_) {
    if (pool.block.rows.empty() && pool.block.exact > Nanoseconds::zero()) {
      rows_.push_back({key.first, kNoTid, key.second, StackIndex(), 0, pool.block.exact});
    }
    CloseBlock(pool.block);
  }
}

}  // namespace whyslow
