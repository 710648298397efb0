// Gives waiting samples the kind and the labels that were found out for them.
#pragma once

#include <cstddef>
#include <span>

#include "profile/profile.h"
#include "profile/wait_kind.h"
#include "profile/wait_names.h"

namespace whyslow {

struct WaitChange {
  size_t sample = 0;  // its stack has a leaf in the module [wait]
  WaitKind kind = WaitKind::kUnknown;
  TlsUse tls = TlsUse::kNone;
  bool idle = false;
  StackIndex callers;  // of the leaf, from now on; not valid: none
};

// Samples that become equal to an earlier one are added to it. All other rows of the tables stay
// where they are.
Profile RewriteWaits(Profile profile, std::span<const WaitChange> changes);

}  // namespace whyslow
