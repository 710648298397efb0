// What attach, run and replay share: wait for the end of a capture, then name, write, summarize.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "cli/capture_session.h"
#include "cli/console.h"
#include "cli/exit_codes.h"
#include "cli/options.h"
#include "cli/output_files.h"
#include "cli/signals.h"
#include "symbolizer/debuginfod.h"

namespace whyslow {

enum class StopReason { kTimeIsUp, kSignal, kTargetGone };

// Returns when the time is up, a signal has come, or `has_ended` says so. Shows progress meanwhile.
StopReason WaitForEnd(const CaptureSession& session, std::optional<Nanoseconds> duration,
                      const std::function<bool()>& has_ended, const SignalWatcher& signals,
                      const Console& console);

// What stands at the head of every profile that `options` make: version, command line, target,
// frequency, mode.
std::vector<std::string> HeadComments(const Options& options, const std::string& target);

// What the last line tells.
struct Summary {
  Audit audit;
  double unresolved_share = 0;       // of the samples: with at least one frame without a name
  std::vector<std::string> written;  // paths
  std::string child;                 // "sleep exited with status 0"; empty: none
};
std::string SummaryLine(const Summary& summary);

// The share of a profile's samples that have a frame of native code without a name.
double UnresolvedShare(const Profile& profile);

struct WritePlan {
  std::vector<OutputFile> outputs;
  ExportOptions shape;
  std::string base_name;  // for the profile that is saved when no output can be written
  std::string child;      // see Summary
  std::shared_ptr<Debuginfod> debuginfod;  // null: nobody is asked
  bool uses_cache = true;                  // for names
  bool python_internals = false;
  std::string cache_directory;  // empty: the user's own
};

// Where names come from, by the options. The status is wrong usage: debuginfod is asked for, but no
// servers are named or its library is missing.
absl::Status SetNameSources(const Options& options, WritePlan& plan);

// Gives captured addresses their names, from where the plan says, and tells how that went.
SymbolizeReport NameAddresses(CaptureResult& result, const WritePlan& plan, const Console& console);

// Names, comments, files, summary. The result is kDone when every output was written.
ExitCode FinishRecording(CaptureResult result, const WritePlan& plan, SignalWatcher& signals,
                         const Console& console);

// UTC, seconds since the epoch.
int64_t UtcSeconds();

}  // namespace whyslow
