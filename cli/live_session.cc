// The capture that the binary runs: the kernel's events, the pipeline, the symbolizer.
#include <absl/strings/str_format.h>

#include <utility>

#include "base/status.h"
#include "cli/capture_session.h"
#include "cli/open_cache.h"
#include "sampler/perf/check_target.h"
#include "sampler/perf/look_source.h"
#include "sampler/perf/perf_event_source.h"
#include "sampler/python/python_processes.h"
#include "sampler/recording/event_recording.h"
#include "sampler/unwind/cfi_cache.h"

namespace whyslow {
namespace {

struct TableCache {
  std::shared_ptr<CfiCache> cache;  // null: there is none
  std::string problem;              // why not; empty: it was not wanted
};

TableCache OpenTableCache(const SessionOptions& options) {
  if (!options.uses_cache) {
    return {};
  }
  absl::StatusOr<std::unique_ptr<CfiCache>> cache = OpenCache<CfiCache>(options.cache_directory);
  if (!cache.ok()) {
    return {.cache = nullptr, .problem = std::string(cache.status().message())};
  }
  return {.cache = *std::move(cache), .problem = {}};
}

class LiveSession final : public CaptureSession {
 public:
  // `recording` is the source itself where raw events are kept, else null.
  LiveSession(std::vector<std::string> notes, std::unique_ptr<PythonProcesses> python,
              std::unique_ptr<EventSource> source, RecordingSource* recording,
              PipelineOptions pipeline, CaptureHeader header)
      : notes_(std::move(notes)),
        python_(std::move(python)),
        recording_(recording),
        start_(header.start),
        capture_(std::move(source), std::move(pipeline), std::move(header)) {}

  CaptureStatus Status() const override { return capture_.Status(); }
  const std::vector<std::string>& notes() const override { return notes_; }
  absl::StatusOr<CaptureResult> Stop() override {
    CaptureResult result = capture_.Stop();
    if (recording_ != nullptr) {
      result.recording_problem = recording_->Finish(start_ + result.audit.duration);
    }
    return result;
  }

 private:
  std::vector<std::string> notes_;
  std::unique_ptr<PythonProcesses> python_;  // used by the source; null: not wanted
  RecordingSource* recording_;
  Instant start_;
  Capture capture_;
};

RecordingHeader HeaderOfRecording(const SessionOptions& options, const CaptureHeader& capture) {
  RecordingHeader header = RecordingHeader::OfThisMachine();
  header.whyslow_version = WHYSLOW_VERSION;
  header.attached_at = capture.start;
  header.attached_at_utc_nanos = capture.start_utc_nanos;
  header.targets = options.pids;
  header.frequency_hz = static_cast<uint32_t>(capture.frequency_hz);
  header.comments = capture.comments;
  header.options["mode"] = NameOf(capture.mode);
  return header;
}

CaptureMode ModeOf(const RecordingHeader& header) {
  const auto mode = header.options.find("mode");
  return mode == header.options.end() ? CaptureMode::kCpu
                                      : CaptureModeNamed(mode->second).value_or(CaptureMode::kCpu);
}

// Where events are not permitted, or not there (a container's filter of system calls), threads that
// sleep can be looked at all the same. `why`: of the events.
absl::StatusOr<std::unique_ptr<CaptureSession>> StartLook(const SessionOptions& options,
                                                          const absl::Status& why) {
  absl::StatusOr<std::unique_ptr<LookSource>> source = LookSource::Open(options.pids);
  if (!source.ok()) {
    return why;
  }
  TableCache tables = OpenTableCache(options);
  PipelineOptions pipeline{.unwind = options.unwind,
                           .table_cache = std::move(tables.cache),
                           .table_cache_problem = std::move(tables.problem),
                           .only_threads = options.threads};
  pipeline.mode = CaptureMode::kWall;
  pipeline.latest_only = true;
  CaptureHeader header;
  header.mode = CaptureMode::kWall;
  header.start = (*source)->started_at();
  std::vector<std::string> notes = {
      "stacks of threads that run are missing, and of others the kernel's frames: " +
      std::string(why.message())};
  return std::unique_ptr<CaptureSession>(new LiveSession(std::move(notes), nullptr,
                                                         *std::move(source), nullptr,
                                                         std::move(pipeline), std::move(header)));
}

bool IsOfRights(const absl::Status& status) {
  return absl::IsPermissionDenied(status) || absl::IsUnimplemented(status) ||
         absl::IsUnavailable(status);
}

}  // namespace

absl::Status CheckSessionTarget(Pid pid) { return CheckTarget(pid); }

absl::StatusOr<std::unique_ptr<CaptureSession>> StartSession(const SessionOptions& options) {
  SamplerOptions sampler = options.sampler;
  sampler.stack_bytes = StackBytesFor(sampler.frequency_hz);
  sampler.user_callchain = options.unwind != UnwindMode::kDwarf;
  auto python = sampler.python ? std::make_unique<PythonProcesses>() : nullptr;
  absl::StatusOr<std::unique_ptr<PerfEventSource>> opened =
      PerfEventSource::Open(sampler, options.pids, python.get());
  if (options.latest_only && IsOfRights(opened.status())) {
    return StartLook(options, opened.status());
  }
  RETURN_IF_ERROR(opened.status());
  std::unique_ptr<PerfEventSource> live = *std::move(opened);
  TableCache tables = OpenTableCache(options);
  PipelineOptions pipeline{.unwind = options.unwind,
                           .table_cache = std::move(tables.cache),
                           .table_cache_problem = tables.problem,
                           .only_threads = options.threads};
  pipeline.mode = sampler.mode;
  pipeline.python_internals = options.python_internals;
  pipeline.latest_only = options.latest_only;
  pipeline.learner = live->wait_stack_learner();
  CaptureHeader header;
  header.mode = sampler.mode;
  header.frequency_hz = static_cast<int>(live->facts().frequency_hz);
  header.comments = options.comments;
  header.start_utc_nanos -= (header.start - live->started_at()).count();
  header.start = live->started_at();
  std::vector<std::string> notes = live->facts().warnings;
  for (std::string& problem :
       python == nullptr ? std::vector<std::string>() : python->TakeProblems()) {
    notes.push_back(std::move(problem));
  }
  if (!tables.problem.empty() && !options.cache_directory.empty()) {
    notes.push_back("--cache " + tables.problem + ". Unwind tables are not kept");
  }
  pipeline.samples_all_modes =
      live->facts().per_cpu && live->facts().kernel_mode && sampler.mode != CaptureMode::kOffCpu;
  std::unique_ptr<EventSource> source = std::move(live);
  RecordingSource* recording = nullptr;
  if (!options.record_path.empty()) {
    ASSIGN_OR_RETURN(
        std::unique_ptr<RecordingSource> recorder,
        RecordingSource::Create(options.record_path, HeaderOfRecording(options, header),
                                std::move(source)));
    recording = recorder.get();
    source = std::move(recorder);
  }
  return std::unique_ptr<CaptureSession>(new LiveSession(std::move(notes), std::move(python),
                                                         std::move(source), recording,
                                                         std::move(pipeline), std::move(header)));
}

absl::StatusOr<CaptureResult> ReplayRecording(const std::string& path,
                                              const SessionOptions& options) {
  ASSIGN_OR_RETURN(std::unique_ptr<ReplaySource> source, ReplaySource::Open(path));
  const ReplaySource& replay = *source;
  CaptureHeader header;
  header.frequency_hz = static_cast<int>(replay.header().frequency_hz);
  header.comments = replay.header().comments;
  const CaptureMode mode = ModeOf(replay.header());
  header.mode = mode;
  header.start = replay.header().attached_at;
  header.start_utc_nanos = replay.header().attached_at_utc_nanos;
  header.is_replay = true;
  TableCache tables = OpenTableCache(options);
  Capture capture(std::move(source),
                  {.unwind = options.unwind,
                   .table_cache = std::move(tables.cache),
                   .table_cache_problem = std::move(tables.problem),
                   .only_threads = {},
                   .is_live = false,
                   .mode = mode,
                   .python_internals = options.python_internals},
                  std::move(header));
  CaptureResult result = capture.Stop();
  RETURN_IF_ERROR(replay.status());
  return result;
}

SymbolizeReport AddNames(CaptureResult& result, const SymbolizeOptions& options) {
  std::vector<SymbolSource> sources;
  for (ModuleNames& names : result.names) {
    SymbolSource source{.module = names.module,
                        .file = std::move(names.file),
                        .jit_map = std::move(names.jit_map),
                        .jit_dump = std::move(names.jit_dump)};
    for (KernelCodeChanged& code : names.kernel_code) {
      source.kernel_code.push_back({.start = code.start.value(),
                                    .size = code.size,
                                    .name = std::move(code.name),
                                    .module = code.is_bpf ? "[bpf]" : ""});
    }
    sources.push_back(std::move(source));
  }
  return Symbolize(result.profile, sources, options);
}

}  // namespace whyslow
