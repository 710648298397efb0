// What changed between two profiles, function by function: ours or any other tool's pprof file.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <string_view>
#include <vector>

#include "profile/profile.h"

namespace whyslow {

// One quantity before and after, in the unit of the column; per second profiled where
// ProfileDiff::per_second says so.
struct Change {
  double before = 0;
  double after = 0;

  double delta() const { return after - before; }
};

// A function is found again by its name and the last part of its file's path: a build folder or a
// version in the path may differ.
struct DiffRow {
  std::string name;
  std::string file;  // full path, of the later profile where it has the function
  Change self;
  Change total;
};

struct ProfileDiff {
  std::string type;
  std::string unit;
  // False when one of the profiles does not say what time it covers: then plain sums are compared.
  bool per_second = false;
  Change whole;
  std::vector<DiffRow> rows;  // greatest change of self first, then of total, then by name
};

// Compares the column `type`, or the one that `after` shows by default when `type` is empty (when
// `before` lacks it: the first one both have). kInvalidArgument when there is no such column in
// both, or its units differ.
absl::StatusOr<ProfileDiff> DiffProfiles(const Profile& before, const Profile& after,
                                         std::string_view type = "");

}  // namespace whyslow
