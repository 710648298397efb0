// From the text of an option's value to the value; every "no" says what would be right.
#pragma once

#include <absl/status/statusor.h>

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/status.h"
#include "base/time.h"
#include "exporters/exporter.h"

namespace whyslow {

// "10s", "1m30s", "500ms"; a bare number is seconds. More than nothing, at most kLongestDuration.
inline constexpr Nanoseconds kLongestDuration = std::chrono::hours(24 * 30);
absl::StatusOr<Nanoseconds> ParseDuration(const std::string& text);

// A whole decimal number in [lowest, highest]; no sign, no blanks, nothing behind it.
absl::StatusOr<int64_t> ParseNumber(std::string_view text, int64_t lowest, int64_t highest);

absl::StatusOr<bool> ParseYesNo(std::string_view text);

// The values of "1,2,3" as they stand; an empty part is an error.
absl::StatusOr<std::vector<std::string>> ParseList(const std::string& text);
// Process or thread numbers.
absl::StatusOr<std::vector<int32_t>> ParseIds(const std::string& text);

// "process,thread" in any order, or "none".
absl::StatusOr<std::vector<RootFrame>> ParseRoots(const std::string& text);

// One of the names; the error lists them.
template <class T>
absl::StatusOr<T> ParseChoice(std::string_view text,
                              std::initializer_list<std::pair<std::string_view, T>> choices) {
  std::string names;
  for (const auto& [name, value] : choices) {
    if (text == name) {
      return value;
    }
    names += std::string(names.empty() ? "" : ", ") + std::string(name);
  }
  return MakeStatus(absl::StatusCode::kInvalidArgument, "it is one of " + names);
}

}  // namespace whyslow
