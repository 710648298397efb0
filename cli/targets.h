// Checks of the processes and threads that a command is told to look at.
#pragma once

#include <absl/status/status.h>

#include "cli/capture_session.h"

namespace whyslow {

// As CheckSessionTarget for each process; kNotFound also for a thread that none of them has.
absl::Status CheckTargets(const SessionOptions& target);

}  // namespace whyslow
