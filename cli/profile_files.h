// Saved profiles as the commands want them: read, added up, filtered.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "cli/options.h"
#include "profile/profile.h"

namespace whyslow {

// The sum of all files (at least one), then the filter. Every problem is about a file.
absl::StatusOr<Profile> LoadProfiles(const std::vector<std::string>& files,
                                     const FilterChoice& filter);

// The column named by --value, or the default one. kInvalidArgument: the profile has none.
absl::StatusOr<size_t> ChooseColumn(const Profile& profile, const std::string& value_type);

// The column of waiting time. kInvalidArgument: the profile has none.
absl::StatusOr<size_t> ChooseWaitColumn(const Profile& profile);

}  // namespace whyslow
