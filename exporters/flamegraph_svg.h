// An interactive flame graph in one SVG file: the data, a script that draws it, and a still picture
// for viewers without script. It loads nothing from anywhere.
#pragma once

#include <ostream>
#include <utility>

#include "exporters/exporter.h"

namespace whyslow {

class FlamegraphSvgExporter : public Exporter {
 public:
  explicit FlamegraphSvgExporter(ExportOptions options) : options_(std::move(options)) {}
  absl::Status Write(const Profile& profile, std::ostream& out) const override;

 private:
  ExportOptions options_;
};

}  // namespace whyslow
