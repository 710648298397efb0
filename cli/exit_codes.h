// The numbers that scripts rely on, and the one place where a status becomes one of them.
#pragma once

#include <absl/status/status.h>

namespace whyslow {

enum class ExitCode : int {
  kDone = 0,
  kFailed = 1,
  kUsage = 2,
  kNotPermitted = 3,
  kNoTarget = 4,
  kGivenUp = 130,  // a second Ctrl-C
};

// What a status is about. The same kNotFound means exit 4 for a process and exit 1 for a file.
enum class About { kUsage, kTarget, kFile };

inline ExitCode ExitCodeFor(const absl::Status& status, About about) {
  if (status.ok()) {
    return ExitCode::kDone;
  }
  if (about == About::kUsage) {
    return ExitCode::kUsage;
  }
  if (status.code() == absl::StatusCode::kCancelled) {
    return ExitCode::kGivenUp;
  }
  if (about == About::kFile) {
    return ExitCode::kFailed;
  }
  switch (status.code()) {
    case absl::StatusCode::kPermissionDenied:
      return ExitCode::kNotPermitted;
    case absl::StatusCode::kNotFound:
      return ExitCode::kNoTarget;
    case absl::StatusCode::kInvalidArgument:
      return ExitCode::kUsage;
    default:
      return ExitCode::kFailed;
  }
}

}  // namespace whyslow
