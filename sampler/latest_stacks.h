// The newest that is known of each thread, instead of all that it did: for a look at a process.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <optional>
#include <tuple>

#include "base/ids.h"
#include "sampler/cpu_time.h"
#include "sampler/event.h"
#include "sampler/profile_writer.h"

namespace whyslow {

// Used by one thread, the worker.
class LatestStacks {
 public:
  // The newest sample of the thread counts.
  void Sampled(const CpuTimeRow& row) { samples_[row.tid] = row; }

  // What is to be told of waits: nothing of those that are over. To one that goes on those before
  // it in the same place are added: who waits in slices (for CPython's global lock) waits for as
  // long as they come one behind the other.
  std::optional<WaitsEnded> Waited(const WaitsEnded& waits);

  // Of a thread that waits in a place that is known no sample is told.
  void WaitsAt(Tid tid) { placed_.insert(tid); }
  void Write(ProfileWriter& writer) const;

 private:
  using Place = std::tuple<Tid, WaitStackId, PythonStackId>;

  absl::flat_hash_map<Tid, CpuTimeRow> samples_;
  absl::flat_hash_map<Place, DurationHistogram> before_;
  absl::flat_hash_set<Tid> placed_;
};

}  // namespace whyslow
