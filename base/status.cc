#include "base/status.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <system_error>

namespace whyslow {
namespace {

absl::StatusCode CodeForErrno(int error) {
  switch (error) {
    case EPERM:
    case EACCES:
      return absl::StatusCode::kPermissionDenied;
    case ENOENT:
    case ESRCH:
    case ENXIO:
    case ENODEV:
      return absl::StatusCode::kNotFound;
    case EINVAL:
    case ENOTDIR:
    case EISDIR:
    case ENAMETOOLONG:
      return absl::StatusCode::kInvalidArgument;
    case EEXIST:
      return absl::StatusCode::kAlreadyExists;
    case ENOMEM:
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
      return absl::StatusCode::kResourceExhausted;
    case ENOSYS:
    case EOPNOTSUPP:
      return absl::StatusCode::kUnimplemented;
    case EAGAIN:
    case EBUSY:
      return absl::StatusCode::kUnavailable;
    default:
      return absl::StatusCode::kUnknown;
  }
}

}  // namespace

absl::Status MakeStatus(absl::StatusCode code, std::string_view message) {
  return absl::Status(code, absl::string_view(message.data(), message.size()));
}

absl::Status ErrnoStatus(int error, std::string_view what) {
  const std::string message =
      std::string(what) + ": " + std::error_code(error, std::generic_category()).message();
  return MakeStatus(CodeForErrno(error), message);
}

void CheckFailed(std::string_view condition, const char* file, int line) {
  std::fprintf(stderr, "whyslow: internal error: %s:%d: %.*s does not hold\n", file, line,
               static_cast<int>(condition.size()), condition.data());
  std::abort();
}

}  // namespace whyslow
