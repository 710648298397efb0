// What the commands need of a capture, whatever takes the samples: the live kernel, or a test's
// script.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <memory>
#include <string>
#include <vector>

#include "base/ids.h"
#include "sampler/capture.h"
#include "sampler/perf/sampler_options.h"
#include "sampler/unwind/stack_unwinder.h"
#include "symbolizer/symbolizer.h"

namespace whyslow {

struct SessionOptions {
  std::vector<Pid> pids;
  std::vector<Tid> threads;  // empty: all
  SamplerOptions sampler;
  UnwindMode unwind = UnwindMode::kAuto;
  bool python_internals = false;  // frames of CPython's own loop, too
  // See PipelineOptions. Where no events are permitted threads that sleep are shown all the same.
  bool latest_only = false;
  bool uses_cache = true;             // unwind tables and names, from one run to the next
  std::string cache_directory;        // empty: the user's own
  std::string record_path;            // empty: keep no raw events
  std::vector<std::string> comments;  // for the profile's head
};

class CaptureSession {
 public:
  virtual ~CaptureSession() = default;
  virtual CaptureStatus Status() const = 0;
  // What will be missing in the profile and why, one line each.
  virtual const std::vector<std::string>& notes() const = 0;
  // Once. The profile has addresses only; see AddNames.
  virtual absl::StatusOr<CaptureResult> Stop() = 0;
};

// kNotFound: no such process, a zombie, a kernel thread, a 32-bit process. kPermissionDenied: not
// ours to profile.
absl::Status CheckSessionTarget(Pid pid);

// Attaches and begins to sample at once.
absl::StatusOr<std::unique_ptr<CaptureSession>> StartSession(const SessionOptions& options);

// The profile of the raw events that SessionOptions::record_path kept. Of the options only how to
// unwind counts.
absl::StatusOr<CaptureResult> ReplayRecording(const std::string& path,
                                              const SessionOptions& options);

// Gives the captured addresses their names.
SymbolizeReport AddNames(CaptureResult& result, const SymbolizeOptions& options);

}  // namespace whyslow
