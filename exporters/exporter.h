// Output formats: one class a format, found by the name of the output file.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "profile/profile.h"

namespace whyslow {

// The frames that --root puts in front of a stack.
enum class RootFrame : uint8_t { kProcess, kThread };

// The shape of stacks in folded, SVG and HTML.
struct ExportOptions {
  std::vector<RootFrame> roots{RootFrame::kThread};  // empty: --root none
  bool lines = false;                                // --lines yes: "name (file.py:LINE)"
  std::string title;                                 // for SVG; empty: made from the profile
};

class Exporter {
 public:
  virtual ~Exporter() = default;
  virtual absl::Status Write(const Profile& profile, std::ostream& out) const = 0;
};

// Flushes; an error when the stream has failed at any time. Every Write ends with it.
absl::Status FinishStream(std::ostream& out);

// One row a format: its name for --format, and what file names end in (the longest suffix wins).
struct Format {
  std::string_view name;                   // "pprof", "folded", "svg", "json"
  std::vector<std::string_view> suffixes;  // ".pb.gz", ".pprof"
  std::unique_ptr<Exporter> (*make)(const ExportOptions& options);
};
const std::vector<Format>& Formats();

// nullptr with no such name; the error names the formats there are.
absl::StatusOr<const Format*> FindFormatByName(std::string_view name);
absl::StatusOr<const Format*> FindFormatForFile(std::string_view path);

}  // namespace whyslow
