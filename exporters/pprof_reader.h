// Reads any pprof file (ours, Go's, other tools'), gzipped or not, into a Profile.
#pragma once

#include <absl/status/statusor.h>

#include <string>

#include "profile/profile.h"

namespace whyslow {

// `name` is for error texts. Every index in the file is checked; a damaged or truncated file is an
// error that says so, never a crash and never a profile with holes.
absl::StatusOr<Profile> ParsePprof(const std::string& bytes, const std::string& name);
absl::StatusOr<Profile> ReadPprofFile(const std::string& path);

}  // namespace whyslow
