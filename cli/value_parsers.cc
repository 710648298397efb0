#include "cli/value_parsers.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_format.h>
#include <absl/time/time.h>

#include <algorithm>
#include <charconv>
#include <limits>

namespace whyslow {
namespace {

absl::Status Invalid(std::string_view why) {
  return MakeStatus(absl::StatusCode::kInvalidArgument, why);
}

constexpr std::string_view kDurationForms =
    "it is a time such as 10s, 1m30s or 500ms (a bare number is seconds)";

bool IsDigitOrPoint(char c) { return (c >= '0' && c <= '9') || c == '.'; }
bool IsLowerLetter(char c) { return c >= 'a' && c <= 'z'; }

}  // namespace

absl::StatusOr<Nanoseconds> ParseDuration(const std::string& text) {
  // The library's parser also takes signs, blanks and "inf".
  const bool plain = !text.empty() && IsDigitOrPoint(text[0]) &&
                     std::all_of(text.begin(), text.end(),
                                 [](char c) { return IsDigitOrPoint(c) || IsLowerLetter(c); });
  const bool is_bare = plain && std::all_of(text.begin(), text.end(), IsDigitOrPoint);
  absl::Duration duration;
  if (!plain || !absl::ParseDuration(is_bare ? text + "s" : text, &duration)) {
    return Invalid(kDurationForms);
  }
  const Nanoseconds value(absl::ToInt64Nanoseconds(duration));
  if (value <= Nanoseconds::zero()) {
    return Invalid("a profile has to last longer than nothing");
  }
  if (value > kLongestDuration) {
    return Invalid("the longest profile is 720h (30 days)");
  }
  return value;
}

absl::StatusOr<int64_t> ParseNumber(std::string_view text, int64_t lowest, int64_t highest) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < lowest ||
      value > highest) {
    return Invalid(absl::StrFormat("it is a whole number from %d to %d", lowest, highest));
  }
  return value;
}

absl::StatusOr<bool> ParseYesNo(std::string_view text) {
  return ParseChoice<bool>(text, {{"yes", true}, {"no", false}});
}

absl::StatusOr<std::vector<std::string>> ParseList(const std::string& text) {
  std::vector<std::string> parts;
  size_t start = 0;
  for (;;) {
    const size_t comma = text.find(',', start);
    parts.push_back(text.substr(start, comma - start));
    if (parts.back().empty()) {
      return Invalid("a part of the list is empty");
    }
    if (comma == std::string::npos) {
      return parts;
    }
    start = comma + 1;
  }
}

absl::StatusOr<std::vector<int32_t>> ParseIds(const std::string& text) {
  ASSIGN_OR_RETURN(const std::vector<std::string> parts, ParseList(text));
  std::vector<int32_t> ids;
  for (const std::string& part : parts) {
    ASSIGN_OR_RETURN(const int64_t id, ParseNumber(part, 1, std::numeric_limits<int32_t>::max()));
    ids.push_back(static_cast<int32_t>(id));
  }
  return ids;
}

absl::StatusOr<std::vector<RootFrame>> ParseRoots(const std::string& text) {
  std::vector<RootFrame> roots;
  if (text == "none") {
    return roots;
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> parts, ParseList(text));
  for (const std::string& part : parts) {
    if (part == "endpoint") {
      return Invalid("requests are not in this version; it is process, thread, both, or none");
    }
    ASSIGN_OR_RETURN(const RootFrame root,
                     ParseChoice<RootFrame>(
                         part, {{"process", RootFrame::kProcess}, {"thread", RootFrame::kThread}}));
    if (std::find(roots.begin(), roots.end(), root) != roots.end()) {
      return Invalid(part + " is named twice");
    }
    roots.push_back(root);
  }
  return roots;
}

}  // namespace whyslow
