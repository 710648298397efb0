// Waits without BPF: brings switches, samples at switches and looks at sleeping threads to the
// ledger.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "sampler/event.h"
#include "sampler/perf/kernel_places.h"
#include "sampler/perf/wait_ledger.h"
#include "sampler/target/descriptors.h"

namespace whyslow {

// Used by the reading thread.
class SwitchWaits {
 public:
  static constexpr int kLooksPerSecond = 99;

  SwitchWaits(Instant began, uint32_t stack_bytes);

  // A thread that was there at the attach.
  void Found(Pid pid, Tid tid) { ledger_.Found(pid, tid); }
  // Samples taken at switches, as they are read: what their descriptors lead to is found now, since
  // it may be closed soon.
  void AddStops(std::vector<Event>& stops);
  // Every event of the targets, in the order of time. Run times are corrected.
  void Apply(Event& event);
  // Nothing of a process will follow.
  void Forget(Pid pid) { ledger_.code().Clear(pid); }
  // Looks at threads that sleep, at a bounded rate.
  void Look();

  // All events before `settled` have been applied. Appends what is to be told by now.
  void Take(Instant settled, std::vector<Event>& out);
  void Finish(Instant when, std::vector<Event>& out);

 private:
  using ObjectRef = std::shared_ptr<const WaitObject>;

  void LookAtThread(Pid pid, Tid tid);
  StopSeen SeenOf(Event& stop);
  KernelPlace PlaceOf(const std::vector<RuntimeAddress>& callchain);
  // From the instruction that called the kernel, and the one that set the number.
  std::optional<int32_t> CallAt(const WaitStack& stack);
  ObjectRef ObjectOf(const WaitStack& stack);

  uint32_t stack_bytes_;
  WaitLedger ledger_;
  std::optional<KernelPlaces> kernel_places_;  // read when first needed
  Descriptors descriptors_;
  // Of this round: threads come back to the same descriptors.
  absl::flat_hash_map<std::pair<Pid, int>, ObjectRef> objects_;
  absl::flat_hash_map<std::pair<Pid, uint64_t>, std::optional<int32_t>> calls_;
  absl::flat_hash_map<uint64_t, KernelPlace> places_;
  double looks_ = 0;  // that may be made now
  Instant looked_at_;
  Instant told_at_;
};

}  // namespace whyslow
