// Why a thread waited, in the user's terms, as far as it can be told without names of functions.
#pragma once

#include <string>
#include <string_view>

#include "profile/wait_kind.h"
#include "sampler/event.h"

namespace whyslow {

// Empty texts: does not apply, or unknown.
struct WaitReason {
  WaitKind kind = WaitKind::kUnknown;
  std::string peer;  // the other end; of what listens or was accepted, the own one
  std::string_view protocol;
  std::string file;
  std::string_view system_call;
  std::string_view state;  // "uninterruptible": no signal ends it, and it is not for a device

  bool operator==(const WaitReason&) const = default;
};

WaitReason ReasonOf(const WaitsEnded& waits);

}  // namespace whyslow
