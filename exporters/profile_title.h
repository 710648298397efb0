// What a picture says above itself: what was profiled, for how long, in which mode, how much.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "exporters/shown_value.h"
#include "profile/profile.h"

namespace whyslow {

struct ProfileTitle {
  std::string target;   // "gunicorn (4711)"
  std::string details;  // "wall · 30 s · 241.2 s in total · 2026-03-01 12:00:00 UTC"
};

// Clean text. `chosen` replaces the target where it is not empty; else it is the comment
// "target: ...", the process with the most of the shown value, or the main binary.
ProfileTitle TitleOf(const Profile& profile, const ShownValue& shown, int64_t total,
                     const std::string& chosen);

// What stands behind "KEY: " in one of the profile's comments; empty without one.
std::string_view CommentValue(const Profile& profile, std::string_view key);

// For people: "241.2 s", "1.5 ms", "1,234 samples", "12,345 bytes". `value` is in `shown.unit`.
std::string ReadableValue(int64_t value, const ShownValue& shown);

}  // namespace whyslow
