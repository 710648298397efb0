#include "sampler/wait_book.h"

#include <string>

#include "sampler/wait/wait_reason.h"

namespace whyslow {
namespace {

// What is known of a thread when it has ended: its last waits come up to a second later.
constexpr size_t kMostEnded = 4096;
// Short-lived threads of one name that have rows of their own.
constexpr size_t kMostSingled = 256;
// Stacks with Python frames that need not be put together again.
constexpr size_t kMostMerged = 16'384;

}  // namespace

void WaitBook::AddStack(Tid tid, WaitStackId id, StackIndex stack, PythonStackId python) {
  stacks_[id] = {.native = stack, .python = python};
  stacks_of_threads_[tid].push_back(id);
}

void WaitBook::Forget(Tid tid) {
  lives_.erase(tid);
  names_.erase(tid);
  late_.erase(tid);
  const auto stacks = stacks_of_threads_.find(tid);
  if (stacks == stacks_of_threads_.end()) {
    return;
  }
  for (const WaitStackId id : stacks->second) {
    stacks_.erase(id);
  }
  stacks_of_threads_.erase(stacks);
}

void WaitBook::StartThread(Tid tid) {
  late_.insert(tid);
  ++lives_[tid];
}

void WaitBook::EndThread(Tid tid) {
  const auto life = lives_.find(tid);
  ended_.push_back({.tid = tid, .life = life == lives_.end() ? 0 : life->second});
  if (ended_.size() <= kMostEnded) {
    return;
  }
  const Ended oldest = ended_.front();
  ended_.pop_front();
  const auto now = lives_.find(oldest.tid);
  if ((now == lives_.end() ? 0 : now->second) == oldest.life) {
    Forget(oldest.tid);
  }
}

StackIndex WaitBook::FindStack(WaitStackId id) const {
  const auto stack = stacks_.find(id);
  return stack == stacks_.end() ? StackIndex() : stack->second.native;
}

StackIndex WaitBook::CallersOf(const WaitsEnded& waits) {
  const auto stack = stacks_.find(waits.stack);
  if (stack == stacks_.end()) {
    return {};
  }
  const StackIndex native = stack->second.native;
  const PythonStackId python = waits.python == kNoPythonStack ? stack->second.python : waits.python;
  if (python == kNoPythonStack || !native.valid()) {
    return native;
  }
  if (merged_.size() >= kMostMerged) {
    merged_.clear();
  }
  const auto [row, is_new] = merged_.try_emplace(MergeKey(waits.pid, python, native));
  if (is_new) {
    std::vector<LocationIndex> frames;
    AppendLocations(writer_.profile(), native, frames);
    python_.Merge(waits.pid, python, frames);
    row->second = writer_.AddStack(frames);
  }
  return row->second;
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
  row.callers = CallersOf(waits);
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
