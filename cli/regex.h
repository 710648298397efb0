// Regular expressions of --focus, --hide and --thread: POSIX extended, as in grep -E.
//
// Not std::regex: it recurses once a character and overflows the stack on the long names that
// templates make.
#pragma once

#include <absl/status/statusor.h>
#include <regex.h>

#include <memory>
#include <string>
#include <string_view>

namespace whyslow {

// Cheap to copy.
class Regex {
 public:
  // kInvalidArgument with the library's reason.
  static absl::StatusOr<Regex> Compile(const std::string& pattern);

  // Whether it matches anywhere in `text`.
  bool Matches(std::string_view text) const;

 private:
  explicit Regex(std::shared_ptr<regex_t> compiled) : compiled_(std::move(compiled)) {}

  std::shared_ptr<regex_t> compiled_;
};

}  // namespace whyslow
