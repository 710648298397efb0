#include "cli/recording.h"

#include <absl/strings/str_format.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/status.h"
#include "cli/open_cache.h"
#include "cli/progress.h"
#include "cli/table.h"
#include "profile/leave_out.h"
#include "profile/wait_reasons.h"
#include "symbolizer/names_cache.h"

namespace whyslow {
namespace {

// How soon the target's end is noticed, and how often the progress line changes.
constexpr Nanoseconds kTick = std::chrono::milliseconds(100);

double Seconds(Nanoseconds time) { return std::chrono::duration<double>(time).count(); }

void AddComment(Profile& profile, std::string text) {
  profile.comments.emplace_back(static_cast<uint32_t>(profile.strings.size()));
  profile.strings.push_back(std::move(text));
}

// Counts that are known at the end only.
void AddAuditComments(CaptureResult& result) {
  const Audit& audit = result.audit;
  AddComment(result.profile, absl::StrFormat("samples: %d, lost: %d, truncated: %d", audit.samples,
                                             audit.lost(), audit.truncated_total()));
  for (const auto& [reason, count] : audit.truncated) {
    AddComment(result.profile, absl::StrFormat("truncated, %s: %d", reason, count));
  }
  if (audit.python_stacks > 0) {
    AddComment(result.profile,
               absl::StrFormat("samples with Python frames: %d, not matching the native ones: %d",
                               audit.python_stacks, audit.python_stacks_apart));
  }
  if (audit.waits_measured) {
    AddComment(result.profile,
               absl::StrFormat("waits: %d, lost: %d, with the stack of a similar wait: %d",
                               audit.waits, audit.lost_waits, audit.waits_without_stack));
    AddComment(
        result.profile,
        absl::StrFormat("stacks of waits: %d copied, %d copied again and compared, %d wrong",
                        audit.wait_stacks, audit.wait_stacks_checked, audit.wait_stacks_wrong));
  }
}

void TellMissingWaits(const Audit& audit, const Console& console) {
  if (audit.lost_waits > 0) {
    console.Note(
        absl::StrFormat("%s waits are missing, %s of all: too many different ones came at once",
                        WithThousands(audit.lost_waits),
                        FormatShare(static_cast<double>(audit.lost_waits),
                                    static_cast<double>(audit.lost_waits + audit.waits))));
  }
  constexpr double kFew = 0.01;
  const double shared = static_cast<double>(audit.waits_without_stack) /
                        static_cast<double>(std::max<uint64_t>(audit.waits, 1));
  if (shared > kFew) {
    console.Note(
        absl::StrFormat("%s of the waits have the stack of a similar wait, or none: not all stacks "
                        "could be copied. "
                        "Times and counts are exact",
                        FormatShare(shared, 1)));
  }
}

std::string Joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) {
    text += (text.empty() ? "" : ", ") + part;
  }
  return text;
}

std::vector<bool> LocationsWithoutName(const Profile& profile) {
  std::vector<bool> nameless;
  for (const Location& location : profile.locations) {
    nameless.push_back(location.lines.empty());
  }
  return nameless;
}

// A timer of the kernel that is late by whole periods, as virtual CPUs' can be.
void TellMissingSamples(const Audit& audit, const Console& console) {
  constexpr Nanoseconds kEnough = std::chrono::milliseconds(500);
  constexpr double kFew = 0.85;
  const double share = Seconds(audit.sampled_cpu) / std::max(Seconds(audit.exact_cpu), 1e-9);
  const uint64_t known = audit.lost_in_kernel + audit.shed_samples + audit.throttled;
  if (audit.samples_all_modes && audit.exact_cpu >= kEnough && share < kFew && known == 0) {
    console.Note(absl::StrFormat(
        "only %.0f %% of the samples that were due came: the timers of this machine "
        "were late (busy virtual CPUs?). Times are exact, shares may be biased",
        100 * share));
  }
}

void TellDetails(const CaptureResult& result, const SymbolizeReport& names,
                 const Console& console) {
  const Audit& audit = result.audit;
  console.Detail(
      absl::StrFormat("%d of %d addresses without a name", names.unresolved, names.locations));
  console.Detail(absl::StrFormat(
      "lost in the kernel %d, dropped %d, stacks shortened %d, paused "
      "%d times",
      audit.lost_in_kernel, audit.shed_samples, audit.shortened_stacks, audit.throttled));
  console.Detail(absl::StrFormat("CPU time: exactly %.3f s, by samples %.3f s",
                                 Seconds(audit.exact_cpu), Seconds(audit.sampled_cpu)));
  if (audit.first_stack > Nanoseconds::zero()) {
    console.Detail(absl::StrFormat("the first stack was known %.1f ms after the attach",
                                   Seconds(audit.first_stack) * 1e3));
  }
  if (audit.tables_compiled + audit.tables_loaded > 0) {
    console.Detail(absl::StrFormat("unwind tables: %d compiled, %d from the cache",
                                   audit.tables_compiled, audit.tables_loaded));
  }
  if (!audit.table_cache_problem.empty()) {
    console.Detail("unwind tables are not kept: " + audit.table_cache_problem);
  }
  for (const auto& [reason, count] : audit.truncated) {
    console.Detail(absl::StrFormat("truncated, %s: %d", reason, count));
  }
  if (audit.waits_measured) {
    console.Detail(absl::StrFormat(
        "waits: %d, lost %d, with the stack of a similar wait %d; stacks copied %d, copied again "
        "and compared %d, wrong %d",
        audit.waits, audit.lost_waits, audit.waits_without_stack, audit.wait_stacks,
        audit.wait_stacks_checked, audit.wait_stacks_wrong));
  }
}

// Null: there is none.
std::unique_ptr<NamesCache> OpenNamesCache(const WritePlan& plan, const Console& console) {
  if (!plan.uses_cache) {
    return nullptr;
  }
  absl::StatusOr<std::unique_ptr<NamesCache>> cache = OpenCache<NamesCache>(plan.cache_directory);
  if (!cache.ok()) {
    console.Detail("names are not kept for the next run: " + std::string(cache.status().message()));
    return nullptr;
  }
  return *std::move(cache);
}

// Nothing that was asked for could be written: the recording is worth more than its place.
void Rescue(const Profile& profile, const WritePlan& plan, const Console& console) {
  const absl::StatusOr<std::string> path = RescueProfile(profile, plan.base_name);
  if (path.ok()) {
    console.Error(
        absl::StrFormat("no output could be written: the profile was saved as %s. Use "
                        "`whyslow export` to convert it",
                        *path));
  } else {
    console.Error("the profile is lost: " + std::string(path.status().message()));
  }
}

}  // namespace

StopReason WaitForEnd(const CaptureSession& session, std::optional<Nanoseconds> duration,
                      const std::function<bool()>& has_ended, const SignalWatcher& signals,
                      const Console& console) {
  const Instant start = MonotonicClock::now();
  ProgressLine progress(console);
  for (;;) {
    const Nanoseconds elapsed = MonotonicClock::now() - start;
    if (duration && elapsed >= *duration) {
      return StopReason::kTimeIsUp;
    }
    progress.Show(ProgressText(elapsed, duration, session.Status()));
    if (signals.WaitForStop(duration ? std::min(kTick, *duration - elapsed) : kTick)) {
      return StopReason::kSignal;
    }
    if (has_ended()) {
      return StopReason::kTargetGone;
    }
  }
}

std::vector<std::string> HeadComments(const Options& options, const std::string& target) {
  return {"whyslow " WHYSLOW_VERSION, "command: " + options.command_line, "target: " + target,
          absl::StrFormat("frequency: %d Hz", options.capture.sampler.frequency_hz),
          absl::StrFormat(
              "mode: %s, event: %s", NameOf(options.capture.sampler.mode),
              options.capture.sampler.clock == SampleClock::kCycles ? "cycles" : "cpu-clock")};
}

std::string SummaryLine(const Summary& summary) {
  const Audit& audit = summary.audit;
  std::string line = absl::StrFormat(
      "%s samples (%.2f s of CPU) in %.1f s, %s, %s lost, %s truncated, %s "
      "of frames unresolved, own CPU %s",
      WithThousands(audit.samples), Seconds(audit.exact_cpu), Seconds(audit.duration),
      audit.waits_measured ? WithThousands(audit.waits) + " waits" : "waits not measured",
      WithThousands(audit.lost() + audit.lost_waits),
      FormatShare(static_cast<double>(audit.truncated_total()),
                  static_cast<double>(audit.samples + audit.wait_stacks)),
      audit.samples == 0 ? "-" : FormatShare(summary.unresolved_share, 1),
      FormatShare(Seconds(audit.own_cpu), Seconds(audit.duration)));
  if (!summary.child.empty()) {
    line += "; " + summary.child;
  }
  return line + "; wrote " + (summary.written.empty() ? "nothing" : Joined(summary.written));
}

// Of the frames of all samples: one nameless main would else make a whole profile look unresolved.
double UnresolvedShare(const Profile& profile) {
  const std::vector<bool> nameless = LocationsWithoutName(profile);
  double frames = 0;
  double unresolved = 0;
  for (size_t i = 0; i < profile.samples.size() && !profile.value_types.empty(); ++i) {
    const auto weight = static_cast<double>(profile.ValuesOf(i)[0]);
    for (StackIndex node = profile.samples[i].stack; node.valid();
         node = profile.StackAt(node).parent) {
      frames += weight;
      unresolved += nameless[profile.StackAt(node).location.value()] ? weight : 0;
    }
  }
  return frames == 0 ? 0 : unresolved / frames;
}

absl::Status SetNameSources(const Options& options, WritePlan& plan) {
  constexpr Nanoseconds kLimit = std::chrono::seconds(60);
  plan.python_internals = options.capture.python_internals;
  plan.uses_cache = options.capture.uses_cache;
  plan.cache_directory = options.capture.cache_directory;
  if (!options.use_debuginfod) {
    return absl::OkStatus();
  }
  absl::StatusOr<std::unique_ptr<Debuginfod>> loaded = Debuginfod::Load(kLimit);
  if (!loaded.ok()) {
    return MakeStatus(loaded.status().code(),
                      "--debuginfod yes: " + std::string(loaded.status().message()));
  }
  plan.debuginfod = *std::move(loaded);
  return absl::OkStatus();
}

SymbolizeReport NameAddresses(CaptureResult& result, const WritePlan& plan,
                              const Console& console) {
  Debuginfod* const debuginfod = plan.debuginfod.get();
  const std::unique_ptr<NamesCache> cache = OpenNamesCache(plan, console);
  SymbolizeOptions options;
  options.debuginfod = debuginfod;
  options.cache = cache.get();
  if (debuginfod == nullptr) {
    return AddNames(result, options);
  }
  ProgressLine progress(console);
  debuginfod->set_progress([&](std::string_view build_id, int64_t got, int64_t total) {
    progress.Show(absl::StrFormat(
        "debuginfod %s: %s", build_id.substr(0, 12),
        total > 0 ? absl::StrFormat("%d of %d KiB", got / 1024, total / 1024) : "waiting"));
  });
  const SymbolizeReport names = AddNames(result, options);
  progress.Clear();
  const DebuginfodReport report = debuginfod->report();
  console.Detail(absl::StrFormat("debuginfod: %d files found, %d not known there, %d failed",
                                 report.found, report.unknown, report.failed));
  if (report.failed > 0) {
    console.Note(
        absl::StrFormat("debuginfod: no answer for %d of %d files (%s: %s); their functions "
                        "may be missing or without lines",
                        report.failed, report.found + report.unknown + report.failed,
                        report.failed_build_id, report.failed_reason));
  }
  return names;
}

ExitCode FinishRecording(CaptureResult result, const WritePlan& plan, SignalWatcher& signals,
                         const Console& console) {
  const SymbolizeReport names = NameAddresses(result, plan, console);
  if (!plan.python_internals) {
    LeaveOut(result.profile, "_PyEval_EvalFrameDefault@plt");  // on the way into the loop
  }
  result.profile = RefineWaits(std::move(result.profile));
  AddAuditComments(result);
  TellDetails(result, names, console);
  TellMissingSamples(result.audit, console);
  TellMissingWaits(result.audit, console);
  WriteResult files;
  {
    const SignalWatcher::WritingScope writing(signals);
    files = WriteOutputs(result.profile, plan.outputs, plan.shape, signals);
  }
  if (signals.gave_up()) {
    return ExitCode::kGivenUp;
  }
  for (const absl::Status& problem : files.failed) {
    console.Error(std::string(problem.message()));
  }
  if (!result.recording_problem.ok()) {
    console.Error("--record: " + std::string(result.recording_problem.message()));
  }
  if (files.written.empty()) {
    Rescue(result.profile, plan, console);
  }
  console.Say(SummaryLine({.audit = result.audit,
                           .unresolved_share = UnresolvedShare(result.profile),
                           .written = files.written,
                           .child = plan.child}));
  const bool all_written = files.failed.empty() && result.recording_problem.ok();
  return all_written ? ExitCode::kDone : ExitCode::kFailed;
}

int64_t UtcSeconds() { return time(nullptr); }

}  // namespace whyslow
