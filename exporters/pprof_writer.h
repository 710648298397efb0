// Writes pprof's profile.proto, gzipped: the file that every command of ours reads, and other
// tools.
#pragma once

#include <ostream>

#include "exporters/exporter.h"

namespace whyslow {

// Rows go out one by one, so that a large profile needs no second copy in memory. Equal profiles
// give equal bytes. Strings keep their places; ids count from 1 in the order of the tables, but for
// the main binary, which readers expect as mapping 1. Texts that are no UTF-8 become it
// (clean_text.h).
class PprofExporter : public Exporter {
 public:
  absl::Status Write(const Profile& profile, std::ostream& out) const override;
};

}  // namespace whyslow
