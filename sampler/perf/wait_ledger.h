// Every wait of every thread, from context switches and from what was seen of stopped threads; for
// where no BPF program does it. Pure.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/duration_histogram.h"
#include "base/ids.h"
#include "base/time.h"
#include "sampler/event.h"
#include "sampler/perf/stop_stacks.h"
#include "sampler/perf/wait_places.h"

namespace whyslow {

// Switches tell how many waits there were and how long each was; where the thread was in one of
// them tells what was seen of it, if anything was:
//
//   switches   ====out_________in===out__in===out_________in==
//   seen           *copy                          *no copy
//   the wait's     own              borrowed      of the one that stopped at the same place
//   stack
//
// A wait of which nothing was seen borrows the stack of another wait of its thread, so that those
// about as long share out as those that were seen. Borrowed stacks are counted as
// LossKind::kWaitStack.
class WaitLedger {
 public:
  // Time before does not count.
  explicit WaitLedger(Instant began) : began_(began), settled_(began) {}

  ProcessCode& code() { return stacks_.code(); }

  // The following are called in the order of time.
  void Found(Pid pid, Tid tid);  // at the attach, running or not
  void Started(Pid pid, Tid tid, Instant when);
  void Exited(Tid tid, Instant when);
  void Execed(Pid pid, Instant when);
  void SwitchedOut(Pid pid, Tid tid, bool preempted, Instant when);
  void SwitchedIn(Pid pid, Tid tid, Instant when);
  // Fills the gaps that lost switches leave. Gives the thread's total run time by the clock of the
  // switches where that is less: the kernel charges a thread that is woken on an idle CPU from the
  // wake-up on (up to 30 us), which its wait has already.
  Nanoseconds Account(const ThreadRunTime& account, Instant when);
  // All of the above has been told up to here.
  void SettleUntil(Instant when);

  // At any time, best before the switch that it belongs to is told. `looked`: the thread was seen
  // asleep from outside, else it was just stopping.
  void Saw(StopSeen seen, bool looked);

  // Threads that have waited longest without a stack; each wait is named once.
  struct Unseen {
    Pid pid = kNoPid;
    Tid tid = kNoTid;
  };
  std::vector<Unseen> TakeUnseen(size_t most);

  // New stacks, as they come.
  void TakeStacks(std::vector<Event>& out);
  // And sums of the waits that have ended since the last call.
  void Take(Instant when, std::vector<Event>& out);
  // Closes waits that are under way. Nothing follows.
  void Finish(Instant when, std::vector<Event>& out);

 private:
  enum class State : uint8_t { kUnknown, kRunning, kOff, kEnded };

  struct RunTime {
    Instant when;
    Nanoseconds total{};     // the kernel's
    Nanoseconds by_clock{};  // the same, by the clock of the switches
    Nanoseconds off{};       // of the thread up to here
  };

  struct Thread {
    Pid pid = kNoPid;
    State state = State::kUnknown;
    bool preempted = false;
    bool is_new = false;  // has not run yet
    bool is_borrowed = false;
    bool was_named = false;                // this wait, by TakeUnseen
    bool has_gap = false;                  // a switch was lost
    uint64_t spot = WaitPlaces::kAnySpot;  // of the wait under way
    Instant since;                         // of the state
    std::optional<WaitPlace> place;        // of the wait under way
    std::unique_ptr<StopSeen> seen;        // likewise, without a copy
    WaitPlaces places;
    std::unique_ptr<DurationHistogram> placeless;  // waits that nothing could be lent to yet
    Nanoseconds unseen{};                          // time of waits without a stack of their own
    std::optional<RunTime> account;                // the last one
    Nanoseconds off{};
  };

  struct Seen {
    StopSeen stop;
    bool looked = false;
  };

  struct SumKey {
    Pid pid = kNoPid;
    Tid tid = kNoTid;
    WaitPlace place;
    bool operator==(const SumKey&) const = default;
    template <class H>
    friend H AbslHashValue(H hash, const SumKey& key) {
      return H::combine(std::move(hash), key.pid, key.tid, key.place);
    }
  };
  struct Sum {
    DurationHistogram times;
    uint64_t still_waiting = 0;
  };

  Thread& ThreadOf(Pid pid, Tid tid);
  WaitPlace PlaceOf(const StopSeen& seen, Instant when);
  // Of the stop at `when`, from what was seen since `since`. Drops what is older.
  void TakeSeen(Tid tid, Thread& thread, Instant since, Instant when);
  void ApplyStop(Thread& thread, StopSeen& seen, Instant when);
  // What looks saw of the wait under way.
  void ApplyLooks(Tid tid, Thread& thread, Instant until);
  void ApplyLook(Thread& thread, StopSeen& seen, Instant when);
  void CloseWait(Tid tid, Thread& thread, Instant when, bool still_waiting);
  void AddWithoutPlace(Tid tid, Thread& thread, uint64_t nanos, bool still_waiting);
  void LendToPlaceless(Tid tid, Thread& thread);
  void AddTo(const SumKey& key, const DurationHistogram& times, bool still_waiting);
  Nanoseconds OffUntil(const Thread& thread, Instant when) const;
  void End(Tid tid, Thread& thread);
  void TellSums(Instant when, std::vector<Event>& out);

  Instant began_;
  Instant settled_;
  StopStacks stacks_;
  absl::flat_hash_map<Tid, std::unique_ptr<Thread>> threads_;
  absl::flat_hash_map<Tid, std::vector<Seen>> seen_;  // in order of time, of each thread
  size_t seen_bytes_ = 0;
  std::deque<Tid> ended_;
  absl::flat_hash_map<SumKey, std::unique_ptr<Sum>> sums_;
  std::vector<Event> new_stacks_;
  uint64_t borrowed_ = 0;
};

}  // namespace whyslow
