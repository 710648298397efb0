// Folded stacks: one line a stack, root first, frames between semicolons, then a whole number.
#pragma once

#include <ostream>
#include <utility>

#include "exporters/exporter.h"

namespace whyslow {

// Lines are sorted and each stack stands once; stacks whose number is 0 are left out.
class FoldedExporter : public Exporter {
 public:
  explicit FoldedExporter(ExportOptions options) : options_(std::move(options)) {}
  absl::Status Write(const Profile& profile, std::ostream& out) const override;

 private:
  ExportOptions options_;
};

}  // namespace whyslow
