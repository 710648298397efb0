// Waits on their way into the profile: their stacks, known by number, and who waited.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <cstdint>
#include <deque>
#include <tuple>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "profile/profile.h"
#include "sampler/event.h"
#include "sampler/profile_writer.h"
#include "sampler/python_stacks.h"

namespace whyslow {

// Used by one thread, the worker.
class WaitBook {
 public:
  // Borrows both.
  WaitBook(ProfileWriter& writer, PythonStacks& python) : writer_(writer), python_(python) {}

  void NameThread(Tid tid, StringIndex name) { names_[tid] = name; }
  // Goes on as another program, perhaps with the number of a thread that has ended.
  void ExecThread(Tid tid) { ++lives_[tid]; }
  // Numbers of threads are used again.
  void StartThread(Tid tid);
  void EndThread(Tid tid);

  // The frames of a stack that this thread waits on, without the wait itself, and without Python's
  // unless they are the same in each of these waits.
  void AddStack(Tid tid, WaitStackId id, StackIndex stack, PythonStackId python = kNoPythonStack);
  // Not valid: unknown.
  StackIndex FindStack(WaitStackId id) const;

  // Writes rows: what was waited for, and the time in the run queue behind it.
  void Add(const WaitsEnded& waits);

 private:
  struct Stack {
    StackIndex native;
    PythonStackId python = kNoPythonStack;
  };
  using MergeKey = std::tuple<Pid, PythonStackId, StackIndex>;  // the last: the native frames

  WaitTimeRow RowOf(const WaitsEnded& waits);
  StackIndex CallersOf(const WaitsEnded& waits);
  StringIndex NameOf(Tid tid) const;
  // Servers that start a thread or a process for each request would make rows for each.
  void PoolShortLived(WaitTimeRow& row);

  void Forget(Tid tid);

  ProfileWriter& writer_;
  PythonStacks& python_;
  absl::flat_hash_map<WaitStackId, Stack> stacks_;
  absl::flat_hash_map<MergeKey, StackIndex> merged_;
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
