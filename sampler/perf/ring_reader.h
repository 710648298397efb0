// Empties all rings of a capture: parses what concerns the target, opens its files, and gives the
// events in time order.
#pragma once

#include <absl/container/flat_hash_set.h>
#include <poll.h>

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "sampler/event.h"
#include "sampler/perf/event_order.h"
#include "sampler/perf/mapped_file_opener.h"
#include "sampler/perf/perf_event_set.h"
#include "sampler/perf/run_time_ledger.h"

namespace whyslow {

// Used by one thread.
class RingReader {
 public:
  struct Options {
    bool follow_children = true;
    bool switch_events = false;  // pass them on; else they are only added up
    bool waits = false;          // and lost ones are lost waits
    // Is shown mappings, names, forks and exits of wanted processes as soon as they are read.
    std::function<void(const Event&)> look = {};
  };
  RingReader(PerfEventSet events, Options options);

  PerfEventSet& events() { return events_; }

  // Records of this process are wanted from now on, and those of its children where followed.
  void AddProcess(Pid pid);
  // It has ended, and all its records have come.
  void RemoveProcess(Pid pid) { wanted_.erase(pid); }
  // Processes that became wanted since the last call.
  std::vector<Pid> TakeNewProcesses() { return std::exchange(new_processes_, {}); }
  // Puts an event of our own making in its place in time.
  void Add(Event event) { order_.Add(std::move(event)); }

  // Waits until something is to be read, or `wake` or `other` (-1: none) is readable, or the time
  // is over.
  enum class Woken : uint8_t { kTimeout, kWake, kOther, kSideband, kRingFills };
  Woken Wait(int wake, int other, Nanoseconds timeout);

  // Mappings, names, forks and exits only. Cheap; gives nothing to Release yet.
  // Appends the threads that began to `started`, where it is not null.
  void ReadSideband(absl::flat_hash_set<Tid>* started = nullptr);
  // Every ring.
  void ReadRound();
  // Samples of threads that stop, as WaitStack, in no order; since the last call. Those of stops
  // before settled_until() have been given, but for copies that were too many.
  std::vector<Event> TakeStops() { return std::exchange(stops_, {}); }
  // All events before have been released, once Release says that there are no more.
  Instant settled_until() const { return order_.horizon(); }
  // Times that threads of targets left their CPUs since the last call.
  uint64_t TakeSwitchCount() { return std::exchange(switches_, 0); }
  // Nothing will follow.
  void EndAll() { order_.EndAll(); }
  // Appends at most `most` events; says if there are more.
  bool Release(std::vector<Event>& out, size_t most) { return order_.Release(out, most); }

  // This thread's time up to now is known from elsewhere.
  void CountRunTimeFrom(Tid tid, Instant when) { run_times_.CountFrom(tid, when); }
  // Of a thread that ended, from context switches.
  Nanoseconds CloseRunTime(Tid tid, Instant ended) { return run_times_.Close(tid, ended); }
  uint64_t late_events() const { return order_.late_events(); }

 private:
  bool IsWanted(const RecordOwner& owner) const;
  void Accept(Event event, absl::flat_hash_set<Tid>* started);
  void ReadRing(EventRing& ring, uint64_t until);
  void ReadStops(EventRing& ring, uint64_t until);
  // Books a switch; finds out whose it was where the record does not say.
  void Count(const EventRing& ring, Event& event, bool& wanted);

  PerfEventSet events_;
  Options options_;
  // Every process that is or was wanted: exact membership depends on the order in time, which is
  // known only later (TargetSet). This only spares the work for everybody else's records.
  absl::flat_hash_set<Pid> wanted_;
  std::vector<Pid> new_processes_;
  MappedFileOpener opener_;
  EventOrder order_;
  RunTimeLedger run_times_;
  std::vector<pollfd> polled_;  // one per ring, then the other, then the waker
  std::vector<Event> stops_;
  Instant copies_read_at_;
  uint64_t switches_ = 0;
  std::vector<uint64_t> heads_;     // of one round; a member to keep its memory
  std::vector<Event> side_events_;  // likewise
};

}  // namespace whyslow
