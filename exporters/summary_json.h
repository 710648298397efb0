// whyslow's own summary of a profile, for scripts: what was profiled, where the time went by
// thread, function and wait.
#pragma once

#include <ostream>

#include "exporters/exporter.h"

namespace whyslow {

// One JSON object and a newline; docs/json.md tells its fields. Tables are bounded and say how many
// rows they leave out.
class SummaryJsonExporter : public Exporter {
 public:
  absl::Status Write(const Profile& profile, std::ostream& out) const override;
};

}  // namespace whyslow
