// Parts of a profile, and several profiles as one: what report, export and diff work on.
#pragma once

#include <absl/status/statusor.h>

#include <functional>
#include <optional>
#include <span>
#include <string_view>

#include "profile/profile.h"

namespace whyslow {

// An empty function lets everything pass. Frames are asked for by name and by file.
struct ProfileFilter {
  using MatchesText = std::function<bool(std::string_view)>;

  MatchesText focus;  // keep the samples that have such a frame
  MatchesText hide;   // leave such frames out of the stacks; their callers get their time
  std::function<bool(std::string_view name, std::optional<int64_t> tid)> thread;
  bool idle = true;  // false: leave out waits of threads that have nothing to do
};

// A sample whose frames are all hidden is left out. Tables keep rows that nothing refers to any
// more.
Profile FilterProfile(Profile profile, const ProfileFilter& filter);

// All samples of `profiles` (at least one) under equal stacks and labels. Time covered adds up; the
// beginning is the earliest one. kInvalidArgument when the value types differ.
absl::StatusOr<Profile> MergeProfiles(std::span<const Profile> profiles);

}  // namespace whyslow
