// Can this process be profiled at all, and by us? Says no in one sentence, with the remedy.
#pragma once

#include <absl/status/status.h>

#include "base/ids.h"

namespace whyslow {

// kNotFound: no such process, a zombie, a kernel thread, a 32-bit program, a thread's number.
// kPermissionDenied: another user's process.
absl::Status CheckTarget(Pid pid);

}  // namespace whyslow
