// Which waits are those of a thread that has nothing to do. The rule stands in wait_reasons.h.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "profile/thread_bases.h"
#include "profile/wait_frames.h"
#include "profile/wait_kind.h"
#include "profile/wait_labels.h"

namespace whyslow {

struct SeenWait {
  WaitKind kind = WaitKind::kUnknown;
  const WaitLabels* labels = nullptr;
  StackIndex stack;  // without its [wait] leaf
  WaitFrameIndex frame;
};

// Sees all samples first, because what a thread does elsewhere tells what it does here. Borrows the
// frames, and the labels of waits.
class IdleWaits {
 public:
  explicit IdleWaits(const WaitFrames& frames) : frames_(frames), bases_(frames) {}

  void AddRunning(const WaitLabels& labels, WaitFrameIndex frame);
  void AddWait(const SeenWait& wait);
  // For each wait in order of arrival.
  std::vector<bool> Decide() &&;

 private:
  using ThreadStack = std::pair<uint32_t, StackIndex>;

  bool IsIdle(const SeenWait& wait) const;
  bool IsAtBase(const SeenWait& wait, const WaitFrame& at) const;
  bool IsLoop(const WaitFrame& at) const;
  bool ReadsRequests(const SeenWait& wait) const;

  const WaitFrames& frames_;
  ThreadBases bases_;
  std::vector<SeenWait> waits_;
  // By the processes' name: ports that are accepted on.
  absl::flat_hash_map<uint32_t, absl::flat_hash_set<std::string_view>> listening_;
};

}  // namespace whyslow
