#include "sampler/perf/wait_ledger.h"

#include <algorithm>
#include <limits>

namespace whyslow {
namespace {

// What is known of threads that have ended: a switch of theirs may still come.
constexpr size_t kMostEnded = 4096;
// Copies that wait for their switches to be told.
constexpr size_t kMostSeenBytes = 64 << 20;
constexpr Nanoseconds kWorthALook = std::chrono::milliseconds(1);

size_t BytesOf(const StopSeen& seen) {
  return sizeof(StopSeen) + seen.stack.stack.size() +
         seen.stack.kernel_callchain.size() * sizeof(RuntimeAddress);
}

uint64_t CountOf(Nanoseconds time) {
  return static_cast<uint64_t>(std::max(time, Nanoseconds::zero()).count());
}

DurationHistogram Single(uint64_t nanos) {
  DurationHistogram times;
  times.Add(nanos);
  return times;
}

}  // namespace

// ---- Threads come and go ------------------------------------------------------------------------

WaitLedger::Thread& WaitLedger::ThreadOf(Pid pid, Tid tid) {
  std::unique_ptr<Thread>& thread = threads_[tid];
  if (thread == nullptr) {
    thread = std::make_unique<Thread>();
    thread->pid = pid;
    thread->since = began_;
  }
  return *thread;
}

void WaitLedger::Found(Pid pid, Tid tid) { ThreadOf(pid, tid); }

void WaitLedger::Started(Pid pid, Tid tid, Instant when) {
  threads_.erase(tid);  // the number is used again
  Thread& thread = ThreadOf(pid, tid);
  thread.state = State::kOff;
  thread.is_new = true;
  thread.since = when;
  thread.account = {.when = std::max(when, began_)};
}

void WaitLedger::End(Tid tid, Thread& thread) {
  LendToPlaceless(tid, thread);
  if (thread.placeless != nullptr) {
    AddTo({.pid = thread.pid, .tid = tid, .place = {}}, *thread.placeless, false);
  }
  const Pid pid = thread.pid;
  thread = Thread();
  thread.pid = pid;
  thread.state = State::kEnded;
  ended_.push_back(tid);
  if (ended_.size() > kMostEnded) {
    const auto oldest = threads_.find(ended_.front());
    if (oldest != threads_.end() && oldest->second->state == State::kEnded) {
      threads_.erase(oldest);
    }
    ended_.pop_front();
  }
}

void WaitLedger::Exited(Tid tid, Instant when) {
  const auto found = threads_.find(tid);
  if (found == threads_.end() || found->second->state == State::kEnded) {
    return;
  }
  if (found->second->state == State::kOff) {  // its last switch was lost
    CloseWait(tid, *found->second, when, false);
  }
  End(tid, *found->second);
}

// Whichever thread called exec goes on as the main thread.
void WaitLedger::Execed(Pid pid, Instant when) {
  Thread& thread = ThreadOf(pid, MainThreadOf(pid));
  if (thread.state == State::kEnded) {
    thread.state = State::kRunning;
    thread.since = when;
  }
}

// ---- Switches -----------------------------------------------------------------------------------

void WaitLedger::SwitchedOut(Pid pid, Tid tid, bool preempted, Instant when) {
  Thread& thread = ThreadOf(pid, tid);
  if (thread.state == State::kEnded) {
    return;
  }
  // Out again without having come in: nobody knows when it did.
  thread.has_gap |= thread.state == State::kOff;
  const Instant ran_since = thread.state == State::kRunning ? thread.since : Instant();
  thread.state = State::kOff;
  thread.since = when;
  thread.preempted = preempted;
  thread.is_new = false;
  thread.is_borrowed = false;
  thread.was_named = false;
  thread.place.reset();
  thread.seen.reset();
  thread.spot = WaitPlaces::kAnySpot;
  TakeSeen(tid, thread, ran_since, when);
}

void WaitLedger::SwitchedIn(Pid pid, Tid tid, Instant when) {
  Thread& thread = ThreadOf(pid, tid);
  if (thread.state == State::kEnded) {
    return;
  }
  if (thread.state == State::kRunning) {
    thread.has_gap = true;
  } else {
    ApplyLooks(tid, thread, when);
    CloseWait(tid, thread, when, false);
  }
  thread.state = State::kRunning;
  thread.since = when;
}

// ---- What was seen ------------------------------------------------------------------------------

void WaitLedger::Saw(StopSeen seen, bool looked) {
  const size_t bytes = BytesOf(seen);
  if (seen_bytes_ + bytes > kMostSeenBytes) {
    return;
  }
  seen_bytes_ += bytes;
  std::vector<Seen>& list = seen_[seen.stack.tid];
  const auto later = std::ranges::upper_bound(list, seen.when, {},
                                              [](const Seen& each) { return each.stop.when; });
  list.insert(later, {.stop = std::move(seen), .looked = looked});
}

WaitPlace WaitLedger::PlaceOf(const StopSeen& seen, Instant when) {
  WaitPlace place = {.why = seen.why,
                     .uninterruptible = seen.uninterruptible,
                     .for_device = seen.for_device,
                     .system_call = seen.stack.system_call,
                     .object = seen.object};
  if (seen.has_copy) {
    place.stack = stacks_.Add(seen, when, new_stacks_);
  }
  return place;
}

void WaitLedger::ApplyStop(Thread& thread, StopSeen& seen, Instant when) {
  if (thread.preempted && seen.why == OffCpu::kBlocked) {
    return;  // anywhere: neither stack nor call tell anything
  }
  WaitPlace place = PlaceOf(seen, when);
  thread.spot = StopStacks::SpotOf(seen);
  if (!seen.has_copy) {
    thread.is_borrowed = true;
    place.stack = stacks_.FindAt(thread.spot);
    if (place.stack == kNoWaitStack) {
      place.stack = thread.places.StackIn(place.system_call);
      thread.seen = std::make_unique<StopSeen>(std::move(seen));
    }
  }
  thread.place = std::move(place);
}

void WaitLedger::TakeSeen(Tid tid, Thread& thread, Instant since, Instant when) {
  const auto found = seen_.find(tid);
  if (found == seen_.end()) {
    return;
  }
  std::vector<Seen>& list = found->second;
  Seen* best = nullptr;
  auto end = list.begin();
  for (; end != list.end() && end->stop.when <= when; ++end) {
    seen_bytes_ -= BytesOf(end->stop);
    const bool is_of_this_stop = !end->looked && end->stop.when >= since;
    if (is_of_this_stop && (best == nullptr || end->stop.has_copy || !best->stop.has_copy)) {
      best = &*end;
    }
  }
  if (best != nullptr) {
    ApplyStop(thread, best->stop, when);
  }
  list.erase(list.begin(), end);
  if (list.empty()) {
    seen_.erase(found);
  }
}

void WaitLedger::ApplyLook(Thread& thread, StopSeen& seen, Instant when) {
  if (thread.place && !thread.is_borrowed) {
    return;
  }
  // The registers of its stop, and the memory, which has not changed since.
  if (thread.seen != nullptr && thread.seen->stack.registers && seen.stack.registers &&
      thread.seen->stack.registers->sp() == seen.stack.registers->sp()) {
    thread.seen->stack.stack = std::move(seen.stack.stack);
    thread.seen->has_copy = seen.has_copy;
    thread.seen->uninterruptible = seen.uninterruptible;
    thread.place = PlaceOf(*thread.seen, when);
  } else {
    thread.place = PlaceOf(seen, when);
  }
  thread.is_borrowed = false;
  thread.unseen = Nanoseconds::zero();
  thread.seen.reset();
}

void WaitLedger::ApplyLooks(Tid tid, Thread& thread, Instant until) {
  const auto found = seen_.find(tid);
  if (found == seen_.end()) {
    return;
  }
  for (Seen& each : found->second) {
    const bool is_of_this_wait = each.looked && each.stop.when >= thread.since &&
                                 each.stop.when <= until && thread.state != State::kRunning &&
                                 thread.state != State::kEnded && !thread.is_new;
    if (is_of_this_wait) {
      thread.state = State::kOff;
      seen_bytes_ -= BytesOf(each.stop);
      ApplyLook(thread, each.stop, until);
      seen_bytes_ += BytesOf(each.stop);
    }
  }
}

void WaitLedger::SettleUntil(Instant when) {
  settled_ = std::max(settled_, when);
  for (auto list = seen_.begin(); list != seen_.end();) {
    const auto thread = threads_.find(list->first);
    if (thread != threads_.end()) {
      ApplyLooks(list->first, *thread->second, when);
    }
    // A copy that came after its switch was told still says what such stops look like.
    const auto rest =
        std::ranges::find_if(list->second, [&](const Seen& each) { return each.stop.when > when; });
    for (auto each = list->second.begin(); each != rest; ++each) {
      seen_bytes_ -= BytesOf(each->stop);
      if (each->stop.has_copy && !each->looked) {
        stacks_.Add(each->stop, settled_, new_stacks_);
      }
    }
    list->second.erase(list->second.begin(), rest);
    if (list->second.empty()) {
      seen_.erase(list++);
    } else {
      ++list;
    }
  }
}

std::vector<WaitLedger::Unseen> WaitLedger::TakeUnseen(size_t most) {
  std::vector<std::pair<Nanoseconds, std::pair<Tid, Thread*>>> found;
  for (const auto& [tid, thread] : threads_) {
    if (thread->state == State::kEnded) {
      continue;
    }
    Nanoseconds time = thread->unseen;
    const bool lacks_stack = !thread->place || thread->place->stack == kNoWaitStack;
    if (thread->state != State::kRunning && !thread->was_named && lacks_stack &&
        !thread->preempted) {
      time += settled_ - std::max(thread->since, began_);
    }
    if (time >= kWorthALook || (thread->state == State::kUnknown && !thread->was_named)) {
      found.emplace_back(time, std::pair(tid, thread.get()));
    }
  }
  std::ranges::sort(found, [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<Unseen> unseen;
  for (size_t i = 0; i < std::min(most, found.size()); ++i) {
    const auto& [tid, thread] = found[i].second;
    thread->was_named = true;
    thread->unseen /= 2;  // else one that is never met asleep would take all the looks
    unseen.push_back({.pid = thread->pid, .tid = tid});
  }
  return unseen;
}

// ---- Sums ---------------------------------------------------------------------------------------

Nanoseconds WaitLedger::OffUntil(const Thread& thread, Instant when) const {
  const bool is_off = thread.state == State::kOff || thread.state == State::kUnknown;
  return thread.off + (is_off ? std::max(when - std::max(thread.since, began_), Nanoseconds::zero())
                              : Nanoseconds::zero());
}

void WaitLedger::AddTo(const SumKey& key, const DurationHistogram& times, bool still_waiting) {
  std::unique_ptr<Sum>& sum = sums_[key];
  if (sum == nullptr) {
    sum = std::make_unique<Sum>();
  }
  sum->times.Add(times);
  sum->still_waiting += still_waiting ? 1 : 0;
}

void WaitLedger::LendToPlaceless(Tid tid, Thread& thread) {
  if (thread.placeless == nullptr) {
    return;
  }
  const DurationHistogram& times = *thread.placeless;
  if (const WaitPlace* place = thread.places.Lend(times.total / times.count)) {
    AddTo({.pid = thread.pid, .tid = tid, .place = *place}, times, false);
    thread.placeless.reset();
  }
}

void WaitLedger::AddWithoutPlace(Tid tid, Thread& thread, uint64_t nanos, bool still_waiting) {
  ++borrowed_;
  const WaitPlace* lent = thread.places.Lend(nanos);
  if (lent != nullptr || still_waiting) {
    AddTo({.pid = thread.pid, .tid = tid, .place = lent == nullptr ? WaitPlace() : *lent},
          Single(nanos), still_waiting);
    return;
  }
  if (thread.placeless == nullptr) {
    thread.placeless = std::make_unique<DurationHistogram>();
  }
  thread.placeless->Add(nanos);
}

void WaitLedger::CloseWait(Tid tid, Thread& thread, Instant when, bool still_waiting) {
  if (when <= began_) {
    return;
  }
  const Nanoseconds time = when - std::max(thread.since, began_);
  const uint64_t nanos = CountOf(time);
  thread.off += time;
  if (!thread.place && (thread.preempted || thread.is_new)) {
    thread.place.emplace();
    thread.place->why = thread.is_new ? OffCpu::kRunnable : OffCpu::kPreempted;
    AddTo({.pid = thread.pid, .tid = tid, .place = *thread.place}, Single(nanos), still_waiting);
    return;
  }
  if (!thread.place || (thread.is_borrowed && thread.place->stack == kNoWaitStack)) {
    thread.unseen += time;
  }
  if (!thread.place) {
    AddWithoutPlace(tid, thread, nanos, still_waiting);
    return;
  }
  if (thread.is_borrowed) {
    ++borrowed_;
    // One caller or another came by here: how long it was tells them apart best.
    if (const WaitPlace* lent = thread.places.Lend(nanos, thread.spot)) {
      thread.place->stack = lent->stack;
    }
  } else {
    thread.places.Add(*thread.place, thread.spot, nanos);
  }
  AddTo({.pid = thread.pid, .tid = tid, .place = *thread.place}, Single(nanos), still_waiting);
}

Nanoseconds WaitLedger::Account(const ThreadRunTime& account, Instant when) {
  const auto found = threads_.find(account.tid);
  if (found == threads_.end() || found->second->state == State::kEnded) {
    return account.total;
  }
  Thread& thread = *found->second;
  Nanoseconds by_clock = account.total;
  if (thread.account) {
    const RunTime& before = *thread.account;
    const Nanoseconds ran = account.total - before.total;
    if (thread.state == State::kUnknown && ran > Nanoseconds::zero()) {
      thread.state = State::kRunning;  // all along: it was never switched
    }
    const Nanoseconds not_off = (when - before.when) - (OffUntil(thread, when) - before.off);
    by_clock = before.by_clock + (thread.has_gap ? ran : not_off);
    if (thread.has_gap && not_off > ran) {
      thread.off += not_off - ran;
      AddWithoutPlace(account.tid, thread, CountOf(not_off - ran), false);
    }
    thread.has_gap = false;
  }
  thread.account = {.when = std::max(when, began_),
                    .total = account.total,
                    .by_clock = by_clock,
                    .off = OffUntil(thread, when)};
  return std::min(account.total, by_clock);
}

void WaitLedger::TellSums(Instant when, std::vector<Event>& out) {
  for (const auto& [key, sum] : sums_) {
    out.push_back({.when = when,
                   .what = WaitsEnded{.pid = key.pid,
                                      .tid = key.tid,
                                      .stack = key.place.stack,
                                      .why = key.place.why,
                                      .uninterruptible = key.place.uninterruptible,
                                      .for_device = key.place.for_device,
                                      .system_call = key.place.system_call,
                                      .object = key.place.object,
                                      .times = sum->times,
                                      .still_waiting = sum->still_waiting}});
  }
  sums_.clear();
  if (borrowed_ > 0) {
    out.push_back(
        {.when = when, .what = EventsLost{.kind = LossKind::kWaitStack, .count = borrowed_}});
    borrowed_ = 0;
  }
}

void WaitLedger::TakeStacks(std::vector<Event>& out) {
  std::ranges::move(new_stacks_, std::back_inserter(out));
  new_stacks_.clear();
}

void WaitLedger::Take(Instant when, std::vector<Event>& out) {
  TakeStacks(out);
  for (const auto& [tid, thread] : threads_) {
    LendToPlaceless(tid, *thread);
  }
  TellSums(when, out);
}

void WaitLedger::Finish(Instant when, std::vector<Event>& out) {
  SettleUntil(when);
  for (const auto& [tid, thread] : threads_) {
    if (thread->state == State::kOff || thread->state == State::kUnknown) {
      if (thread->since < when) {
        CloseWait(tid, *thread, when, true);
      }
    }
    if (thread->state != State::kEnded) {
      LendToPlaceless(tid, *thread);
      if (thread->placeless != nullptr) {
        AddTo({.pid = thread->pid, .tid = tid, .place = {}}, *thread->placeless, false);
      }
    }
  }
  TakeStacks(out);
  TellSums(when, out);
}

}  // namespace whyslow
