// What a profile holds beyond pprof: the message of proto/whyslow.proto in Profile field 2000.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "profile/profile.h"

namespace whyslow {

inline constexpr uint32_t kBesidePprofField = 2000;
inline constexpr size_t kMostWaitTimes = 20'000;

// The message; empty when pprof can express all there is.
std::string EncodeBesidePprof(const Profile& profile);

// Takes what the message says into `profile`, whose samples are complete. The result is what this
// version does not know of the message, again as such a message (empty: nothing). nullopt: it is
// not ours, of another version, or contradicts the profile; then `profile` is as before.
std::optional<std::string> DecodeBesidePprof(std::string_view message, Profile& profile);

}  // namespace whyslow
