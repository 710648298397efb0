// The kernel's account of each living thread's time on CPUs, asked for now and then.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "sampler/event.h"
#include "sampler/perf/target_set.h"

namespace whyslow {

// One file of /proc is read per thread, about 5 µs: once a second, and with more than a thousand
// threads less often, so that this stays below half a percent of a CPU.
class ThreadTimes {
 public:
  // The time that a thread had used before we came. Appends it as an event.
  void AddBaseline(Pid pid, Tid tid, std::vector<Event>& out);
  // Zero for a thread that began while we watched.
  Nanoseconds BaselineOf(Tid tid) const;

  // In the last round each thread is asked once, however often the round is made.
  enum class Round : uint8_t { kUsual, kLast };

  bool IsDue(Instant now) const { return now >= next_; }
  // Appends a ThreadRunTime for each thread whose account has changed, and a ThreadExited for
  // threads that are gone although no exit was reported (the report was lost, or came before us).
  void Poll(const TargetSet& targets, Round round, std::vector<Event>& out);
  void Forget(Tid tid);

 private:
  struct Account {
    std::optional<Nanoseconds> baseline;
    Nanoseconds total{};
    int times_missing = 0;
    bool is_closed = false;
  };
  void PollThread(Pid pid, Tid tid, bool process_has_ended, std::vector<Event>& out);

  absl::flat_hash_map<Tid, Account> accounts_;
  Instant next_;
};

}  // namespace whyslow
