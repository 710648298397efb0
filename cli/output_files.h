// Where a profile is written: decided and tried before the capture, so that no profile is lost to a
// typing error.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "cli/console.h"
#include "cli/options.h"
#include "cli/signals.h"
#include "exporters/exporter.h"
#include "profile/profile.h"

namespace whyslow {

struct OutputFile {
  std::string path;  // "-": standard output
  const Format* format = nullptr;

  bool is_stdout() const { return path == "-"; }
};

// "whyslow-4711-20260101T120000Z": the default name without its suffix.
std::string DefaultBaseName(std::string_view subject, int64_t utc_seconds);

// Names and formats fitted together; `default_base` serves where no output is named. What is wrong
// here is a usage error.
absl::StatusOr<std::vector<OutputFile>> ResolveOutputs(const OutputChoice& choice,
                                                       const std::string& default_base);

// Could each of them, and `record_path` unless empty, be written now? What is wrong here is about a
// file.
absl::Status CheckAllWritable(const std::vector<OutputFile>& outputs,
                              const std::string& record_path);

struct WriteResult {
  std::vector<std::string> written;  // paths
  std::vector<absl::Status> failed;  // "PATH: WHY. REMEDY"
};

// Writes every output; one that fails does not keep the others from being written. When the user
// gives up meanwhile, what was written goes away again and the only failure is kCancelled.
WriteResult WriteOutputs(const Profile& profile, const std::vector<OutputFile>& outputs,
                         const ExportOptions& shape, const SignalWatcher& signals);

// The last resort when no output could be written after a capture: `base`.pb.gz in $TMPDIR or /tmp.
// The path, or why that failed too.
absl::StatusOr<std::string> RescueProfile(const Profile& profile, const std::string& base);

}  // namespace whyslow
