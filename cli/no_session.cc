// Stands in for live_session.cc where the sampler is not built: every command works but capturing.
#include "base/status.h"
#include "cli/capture_session.h"

namespace whyslow {
namespace {

absl::Status NotBuiltIn() {
  return MakeStatus(absl::StatusCode::kUnimplemented,
                    "sampling: this build of whyslow cannot sample. Use one that can");
}

}  // namespace

absl::Status CheckSessionTarget(Pid /*pid*/) { return NotBuiltIn(); }

absl::StatusOr<std::unique_ptr<CaptureSession>> StartSession(const SessionOptions& /*options*/) {
  return NotBuiltIn();
}

absl::StatusOr<CaptureResult> ReplayRecording(const std::string& /*path*/, UnwindMode /*unwind*/) {
  return NotBuiltIn();
}

SymbolizeReport AddNames(CaptureResult& /*result*/) { return {}; }

}  // namespace whyslow
