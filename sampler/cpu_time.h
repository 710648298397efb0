// Scales samples to the exact time that each thread spent on CPUs.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "profile/profile.h"
#include "sampler/event.h"

namespace whyslow {

// One finished row: a stack of a thread with its share of that thread's CPU time. `tid` (and `pid`)
// are kNoTid (kNoPid) where many short-lived threads (processes) of the same name were put
// together.
struct CpuTimeRow {
  Pid pid = kNoPid;
  Tid tid = kNoTid;
  StringIndex thread_name;
  StackIndex stack;  // not valid: the thread ran, but no sample met it
  int64_t samples = 0;
  Nanoseconds time{};
};

// Pure. The clock's ticks say where time went, the scheduler says how much it was: at the end of
// every block (about a second) the samples of a thread are scaled so that they add up to its exact
// run time.
//
//   run time   |=====___==___=====|     exact: 12 ms
//   samples      *     *      * *       4, each standing for 10.1 ms -> each gets 3 ms
//
// A thread's exact time comes as ThreadRunTime (the kernel's account) or from SwitchIn/SwitchOut.
// Without either the samples keep their own weight. Time of a block without samples waits for the
// next block. Threads that end with fewer than kFewSamples are scaled together with the others of
// the same process and name, since a thread that lives shorter than a period has one sample or
// none.
class CpuTimeScaler {
 public:
  static constexpr int64_t kFewSamples = 20;
  // As many short-lived threads of one kind keep rows of their own.
  static constexpr int kMaxSingled = 64;

  void Add(Instant when, Pid pid, Tid tid, StringIndex thread_name, StackIndex stack,
           Nanoseconds period);
  void Apply(Instant when, const ThreadRunTime& event);
  void Apply(Instant when, const SwitchIn& event);
  void Apply(Instant when, const SwitchOut& event);
  void Apply(Instant when, const ThreadStarted& event, StringIndex name);
  void Apply(Instant when, const ThreadExited& event);
  // The thread's name from now on, for time that no sample meets.
  void Rename(Tid tid, StringIndex name);

  // Rows that are final by now; the scaler forgets them.
  std::vector<CpuTimeRow> TakeRows() { return std::exchange(rows_, {}); }
  // Closes every block at `when`; nothing may be added afterwards.
  void Finish(Instant when);

  // Exact time, and the time that samples stood for before scaling: their ratio shows losses.
  Nanoseconds exact_time() const { return exact_time_; }
  Nanoseconds sampled_time() const { return sampled_time_; }

 private:
  struct PendingRow {
    StackIndex stack;
    StringIndex name;
    Pid pid = kNoPid;
    Tid tid = kNoTid;
    int64_t samples = 0;
    Nanoseconds weight{};
  };
  // Time and samples that are to be matched with each other.
  struct Block {
    std::vector<PendingRow> rows;
    Nanoseconds exact{};  // exact time not yet given to a row
    Nanoseconds weight{};
    bool has_exact = false;
  };
  struct Thread {
    Pid pid = kNoPid;
    StringIndex name = kEmptyString;
    Block block;
    Instant block_start;
    std::optional<Instant> running_since;
    std::optional<Nanoseconds> kernel_total;  // of the last ThreadRunTime
    int64_t samples = 0;                      // in its whole life
    bool began_with_us = false;
    std::optional<Instant> exited;
  };
  struct Pool {
    Block block;
    int singled = 0;
  };
  // Short-lived threads pool by process; the main threads of short-lived processes by name alone.
  using PoolKey = std::pair<Pid, StringIndex>;

  Thread& ThreadOf(Pid pid, Tid tid, Instant when);
  void AddExact(Thread& thread, Nanoseconds time);
  void CloseBlock(Block& block);
  void CloseIfDue(Thread& thread, Instant when);
  void End(Tid tid);
  void SweepEnded(Instant when);

  absl::flat_hash_map<Tid, Thread> threads_;
  absl::flat_hash_map<PoolKey, Pool> pools_;
  std::vector<CpuTimeRow> rows_;
  Instant last_sweep_;
  Nanoseconds exact_time_{};
  Nanoseconds sampled_time_{};
};

}  // namespace whyslow
