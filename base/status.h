// What Abseil's status library of this vintage lacks: propagation macros and errno with a sentence.
//
//   absl::StatusOr<Config> Load(const std::string& path) {
//     ASSIGN_OR_RETURN(UniqueFd file, OpenReadOnly(path));
//     RETURN_IF_ERROR(CheckHeader(file));
//     ...
//   }
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <string>
#include <string_view>
#include <utility>

namespace whyslow {

// "WHAT: strerror(error)" with the status code that fits the errno. errno is an argument, so that
// nothing can run between the failing call and its reading.
absl::Status ErrnoStatus(int error, std::string_view what);

// Abseil's packaged string_view is its own type; this is the bridge for messages made of std types.
absl::Status MakeStatus(absl::StatusCode code, std::string_view message);

// Prints the place and the message and aborts. For what cannot happen, whatever the target does.
// (std::source_location would be the standard's way; clang 14 has none.)
[[noreturn]] void CheckFailed(std::string_view condition, const char* file = __builtin_FILE(),
                              int line = __builtin_LINE());

}  // namespace whyslow

#define WHYSLOW_CHECK(condition)          \
  do {                                    \
    if (!(condition)) {                   \
      ::whyslow::CheckFailed(#condition); \
    }                                     \
  } while (false)

#define RETURN_IF_ERROR(expression)                           \
  do {                                                        \
    if (absl::Status status_ = (expression); !status_.ok()) { \
      return status_;                                         \
    }                                                         \
  } while (false)

#define WHYSLOW_CONCAT_INNER(a, b) a##b
#define WHYSLOW_CONCAT(a, b) WHYSLOW_CONCAT_INNER(a, b)
#define ASSIGN_OR_RETURN(declaration, expression) \
  WHYSLOW_ASSIGN_OR_RETURN(WHYSLOW_CONCAT(status_or_, __LINE__), declaration, expression)
// NOLINTBEGIN(bugprone-macro-parentheses): the declaration is one.
#define WHYSLOW_ASSIGN_OR_RETURN(holder, declaration, expression) \
  auto holder = (expression);                                     \
  if (!holder.ok()) {                                             \
    return holder.status();                                       \
  }                                                               \
  declaration = std::move(*holder)
// NOLINTEND(bugprone-macro-parentheses)
