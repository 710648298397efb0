#include "exporters/profile_title.h"

#include <absl/strings/str_format.h>
#include <absl/time/time.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include "exporters/clean_text.h"
#include "exporters/shown_stack.h"
#include "profile/saturated_sum.h"

namespace whyslow {
namespace {

constexpr std::string_view kSeparator = " · ";

std::string Grouped(int64_t value) {
  std::string digits = std::to_string(value);
  const size_t sign = value < 0 ? 1 : 0;
  for (size_t at = digits.size(); at > sign + 3;) {
    at -= 3;
    digits.insert(at, 1, ',');
  }
  return digits;
}

std::optional<double> NanosecondsPer(std::string_view unit) {
  static constexpr std::array<std::pair<std::string_view, double>, 4> kUnits = {
      {{"nanoseconds", 1}, {"microseconds", 1e3}, {"milliseconds", 1e6}, {"seconds", 1e9}}};
  for (const auto& [name, nanoseconds] : kUnits) {
    if (unit == name) {
      return nanoseconds;
    }
  }
  return std::nullopt;
}

std::string ReadableDuration(double nanoseconds) {
  static constexpr std::array<std::pair<double, std::string_view>, 4> kUnits = {
      {{1e9, "s"}, {1e6, "ms"}, {1e3, "µs"}, {1, "ns"}}};
  for (const auto& [size, name] : kUnits) {
    if (std::abs(nanoseconds) >= size || size == 1) {
      return absl::StrFormat("%.4g %s", nanoseconds / size, name);
    }
  }
  return {};
}

// The process that has the most of the column's value; programs' own names, not paths.
std::string HeaviestProcess(const Profile& profile, size_t column) {
  std::map<std::string, int64_t, std::less<>> totals;
  for (size_t i = 0; i < profile.samples.size(); ++i) {
    const std::string_view name = profile.TextLabel(profile.samples[i], "process");
    if (!name.empty()) {
      int64_t& total = totals.try_emplace(std::string(name), 0).first->second;
      total = SaturatedSum(total, profile.ValuesOf(i)[column]);
    }
  }
  const auto heaviest =
      std::max_element(totals.begin(), totals.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  return heaviest == totals.end() ? std::string() : heaviest->first;
}

std::string TargetOf(const Profile& profile, const ShownValue& shown) {
  const std::string_view comment = CommentValue(profile, "target");
  if (!comment.empty()) {
    return std::string(comment);
  }
  std::string process = HeaviestProcess(profile, shown.column);
  if (!process.empty()) {
    return process;
  }
  for (const Module& module : profile.modules) {
    if (module.kind == ModuleKind::kFile && module.path != kEmptyString) {
      return std::string(BaseNameOf(profile.Text(module.path)));
    }
  }
  return "Profile";
}

}  // namespace

std::string_view CommentValue(const Profile& profile, std::string_view key) {
  for (const StringIndex comment : profile.comments) {
    std::string_view text = profile.Text(comment);
    if (text.starts_with(key) && text.substr(key.size()).starts_with(": ")) {
      return text.substr(key.size() + 2);
    }
  }
  return {};
}

std::string ReadableValue(int64_t value, const ShownValue& shown) {
  if (const std::optional<double> nanoseconds = NanosecondsPer(shown.unit)) {
    return ReadableDuration(static_cast<double>(value) * *nanoseconds);
  }
  if (shown.unit != "count") {
    return CleanText(Grouped(value) + ' ' + shown.unit);
  }
  const bool is_samples = shown.type.ends_with("sample") || shown.type.ends_with("samples");
  return Grouped(value) + ' ' + (is_samples ? value == 1 ? "sample" : "samples" : shown.type);
}

ProfileTitle TitleOf(const Profile& profile, const ShownValue& shown, int64_t total,
                     const std::string& chosen) {
  // "mode: cpu, event: cycles"
  const std::string_view facts = CommentValue(profile, "mode");
  const std::string_view mode = facts.substr(0, facts.find(','));
  std::string details = mode.empty() ? shown.type : std::string(mode);
  if (profile.duration_nanos > 0) {
    details += kSeparator;
    details += ReadableDuration(static_cast<double>(profile.duration_nanos));
  }
  details += kSeparator;
  details += ReadableValue(total, shown) + " in total";
  if (profile.time_nanos > 0) {
    details += kSeparator;
    details += absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", absl::FromUnixNanos(profile.time_nanos),
                                absl::UTCTimeZone());
  }
  return {CleanText(chosen.empty() ? TargetOf(profile, shown) : chosen), CleanText(details)};
}

}  // namespace whyslow
