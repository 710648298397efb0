// Waits on their way into the profile: their stacks, known by number, and who waited.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "profile/profile.h"
#include "sampler/event.h"
#include "sampler/profile_writer.h"

namespace whyslow {

// Used by one thread, the worker.
class WaitBook {
 public:
  // Borrows it.
  explicit WaitBook(ProfileWriter& writer) : writer_(writer) {}

  void NameThread(Tid tid, StringIndex name) { names_[tid] = name; }
  // Goes on as another program, perhaps with the number of a thread that has ended.
  void ExecThread(Tid tid) { ++lives_[tid]; }
  // Numbers of threads are used again.
  void StartThread(Tid tid);
  void EndThread(Tid tid);

  // The frames of a stack that this thread waits on, without the wait itself.
  void AddStack(Tid tid, WaitStackId id, StackIndex stack);
  // Not valid: unknown.
  StackIndex FindStack(WaitStackId id) const;

  // Writes rows: what was waited for, and the time in the run queue behind it.
  void Add(const WaitsEnded& waits);

 private:
  WaitTimeRow RowOf(const WaitsEnded& waits);
  StringIndex NameOf(Tid tid) const;
  // Servers that start a thread or a process for each request would make rows for each.
  void PoolShortLived(WaitTimeRow& row);

  ProfileWriter& writer_;
  void Forget(Tid tid);

  absl::flat_hash_map<WaitStackId, StackIndex> stacks_;
  absl::flat_hash_map<Tid, std::vector<WaitStackId>> stacks_of_threads_;
  absl::flat_hash_map<Tid, StringIndex> names_;
  absl::flat_hash_set<Tid> late_;  // began while we watched
  struct Ended {
    Tid tid = kNoTid;
    uint64_t life = 0;
  };
  std::deque<Ended> ended_;
  absl::flat_hash_map<Tid, uint64_t> lives_;  // how often it was started or execed
  absl::flat_hash_map<std::pair<Pid, StringIndex>, absl::flat_hash_set<Tid>> singled_;
};

}  // namespace whyslow
