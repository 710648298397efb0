#include "sampler/wait_book.h"

#include <string>

#include "sampler/wait/wait_reason.h"

namespace whyslow {
namespace {

// What is known of a thread when it has ended: its last waits come up to a second later.
constexpr size_t kMostEnded = 4096;
// Short-lived threads of one name that have rows of their own.
constexpr size_t kMostSingled = 256;

}  // namespace

void WaitBook::NameThread(Pid /*pid*/, Tid tid, StringIndex name) { names_[tid] = name; }

void WaitBook::EndThread(Tid tid) {
  ended_.push_back(tid);
  if (ended_.size() > kMostEnded) {
    names_.erase(ended_.front());
    late_.erase(ended_.front());
    ended_.pop_front();
  }
}

StackIndex WaitBook::FindStack(WaitStackId id) const {
  const auto stack = stacks_.find(id);
  return stack == stacks_.end() ? StackIndex() : stack->second;
}

StringIndex WaitBook::NameOf(Tid tid) const {
  const auto name = names_.find(tid);
  return name == names_.end() ? kEmptyString : name->second;
}

void WaitBook::PoolShortLived(WaitTimeRow& row) {
  if (!late_.contains(row.tid)) {
    return;
  }
  const bool is_process = row.tid == MainThreadOf(row.pid);
  absl::flat_hash_set<Tid>& singled = singled_[{is_process ? kNoPid : row.pid, row.thread_name}];
  if (singled.size() < kMostSingled) {
    singled.insert(row.tid);
  }
  if (!singled.contains(row.tid)) {
    row.pid = is_process ? kNoPid : row.pid;
    row.tid = kNoTid;
  }
}

WaitTimeRow WaitBook::RowOf(const WaitsEnded& waits) {
  WaitTimeRow row;
  row.pid = waits.pid;
  row.tid = waits.tid;
  row.thread_name = NameOf(waits.tid);
  PoolShortLived(row);
  row.reason = ReasonOf(waits);
  row.callers = FindStack(waits.stack);
  const bool should_have_stack = waits.why != OffCpu::kPreempted &&
                                 waits.why != OffCpu::kThrottled && waits.why != OffCpu::kStolen &&
                                 row.reason.kind != WaitKind::kUnknown &&
                                 !(waits.why == OffCpu::kRunnable && waits.system_call < 0);
  if (!row.callers.valid() && should_have_stack) {
    const LocationIndex note = writer_.AddNote("[truncated: stack not copied]");
    row.callers = writer_.AddStack({&note, 1});
  }
  row.waker = waits.waker;
  row.waker_name = NameOf(waits.waker);
  return row;
}

void WaitBook::Add(const WaitsEnded& waits) {
  WaitTimeRow row = RowOf(waits);
  if (waits.times.count > 0 || waits.why == OffCpu::kStolen) {
    row.count = static_cast<int64_t>(waits.times.count);
    row.time = Nanoseconds(static_cast<int64_t>(waits.times.total));
    row.times = waits.times.count > 0 ? &waits.times : nullptr;
    writer_.AddWaitRow(row);
  }
  if (waits.run_queue > Nanoseconds::zero()) {
    // It could have run: the reason of the wait is over.
    row.reason = {.kind = WaitKind::kRunQueue};
    row.waker = kNoTid;
    row.count = 0;
    row.time = waits.run_queue;
    row.times = nullptr;
    writer_.AddWaitRow(row);
  }
}

}  // namespace whyslow
