#include "cli/regex.h"

#include <array>

#include "base/status.h"

namespace whyslow {

absl::StatusOr<Regex> Regex::Compile(const std::string& pattern) {
  auto raw = std::make_unique<regex_t>();
  if (const int error = regcomp(raw.get(), pattern.c_str(), REG_EXTENDED | REG_NOSUB)) {
    std::array<char, 256> reason{};
    regerror(error, raw.get(), reason.data(), reason.size());
    return MakeStatus(absl::StatusCode::kInvalidArgument, reason.data());
  }
  return Regex(std::shared_ptr<regex_t>(raw.release(), [](regex_t* compiled) {
    regfree(compiled);
    delete compiled;
  }));
}

bool Regex::Matches(std::string_view text) const {
  // With REG_STARTEND the text needs no terminating zero, and may hold one.
  regmatch_t range{};
  range.rm_so = 0;
  range.rm_eo = static_cast<regoff_t>(text.size());
  return regexec(compiled_.get(), text.data(), 1, &range, REG_STARTEND) == 0;
}

}  // namespace whyslow
