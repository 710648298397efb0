// The capture that the binary runs: the kernel's events, the pipeline, the symbolizer.
#include <absl/strings/str_format.h>

#include <utility>

#include "base/status.h"
#include "cli/capture_session.h"
#include "sampler/perf/check_target.h"
#include "sampler/perf/perf_event_source.h"

namespace whyslow {
namespace {

class LiveSession final : public CaptureSession {
 public:
  LiveSession(std::unique_ptr<PerfEventSource> source, PipelineOptions pipeline,
              CaptureHeader header)
      : notes_(source->facts().warnings),
        capture_(std::move(source), std::move(pipeline), std::move(header)) {}

  CaptureStatus Status() const override { return capture_.Status(); }
  const std::vector<std::string>& notes() const override { return notes_; }
  absl::StatusOr<CaptureResult> Stop() override { return capture_.Stop(); }

 private:
  std::vector<std::string> notes_;
  Capture capture_;
};

absl::Status NoRecordings(std::string_view what) {
  return MakeStatus(absl::StatusCode::kUnimplemented,
                    absl::StrFormat("%s: raw events cannot be kept yet", what));
}

}  // namespace

absl::Status CheckSessionTarget(Pid pid) { return CheckTarget(pid); }

absl::StatusOr<std::unique_ptr<CaptureSession>> StartSession(const SessionOptions& options) {
  if (!options.record_path.empty()) {
    return NoRecordings("--record");
  }
  ASSIGN_OR_RETURN(std::unique_ptr<PerfEventSource> source,
                   PerfEventSource::Open(options.sampler, options.pids));
  PipelineOptions pipeline;
  pipeline.unwind = options.unwind;
  pipeline.only_threads = options.threads;
  CaptureHeader header;
  header.frequency_hz = static_cast<int>(source->facts().frequency_hz);
  header.comments = options.comments;
  return std::unique_ptr<CaptureSession>(
      new LiveSession(std::move(source), std::move(pipeline), std::move(header)));
}

absl::StatusOr<CaptureResult> ReplayRecording(const std::string& path, UnwindMode /*unwind*/) {
  return NoRecordings(path);
}

SymbolizeReport AddNames(CaptureResult& result) {
  std::vector<SymbolSource> sources;
  for (ModuleNames& names : result.names) {
    sources.push_back({.module = names.module,
                       .file = std::move(names.file),
                       .jit_map = std::move(names.jit_map)});
  }
  return Symbolize(result.profile, sources, SymbolizeOptions());
}

}  // namespace whyslow
