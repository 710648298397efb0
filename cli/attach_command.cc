#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <absl/strings/str_join.h>

#include <algorithm>
#include <utility>

#include "base/file_io.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/recording.h"
#include "cli/targets.h"

namespace whyslow {
namespace {

std::string TargetText(const std::vector<Pid>& pids) {
  std::string text = pids.size() == 1 ? "process" : "processes";
  for (const Pid pid : pids) {
    text += absl::StrFormat(" %d", Number(pid));
  }
  return text;
}

// The same with the programs' names: "redis-server (process 1234)".
std::string NamedTargetText(const std::vector<Pid>& pids) {
  std::vector<std::string> names;
  for (const Pid pid : pids) {
    absl::StatusOr<std::string> name = ReadFile(absl::StrFormat("/proc/%d/comm", Number(pid)));
    if (!name.ok()) {
      continue;  // it ends just now; the capture will say so
    }
    absl::StripTrailingAsciiWhitespace(&*name);
    if (std::ranges::find(names, *name) == names.end()) {
      names.push_back(*std::move(name));
    }
  }
  return absl::StrCat(absl::StrJoin(names, ", "), " (", TargetText(pids), ")");
}

void TellNotes(const CaptureSession& session, const Console& console) {
  for (const std::string& note : session.notes()) {
    console.Note(note);
  }
}

ExitCode Record(const Options& options, const WritePlan& plan, SignalWatcher& signals,
                const Console& console) {
  SessionOptions target = options.capture;
  target.comments = HeadComments(options, NamedTargetText(target.pids));
  signals.RemoveWhenGivenUp(target.record_path);
  absl::StatusOr<std::unique_ptr<CaptureSession>> session = StartSession(target);
  if (!session.ok()) {
    return console.Fail(session.status(), About::kTarget);
  }
  console.Detail("attached: everything counts from now on");
  TellNotes(**session, console);
  const auto has_ended = [&] { return (*session)->Status().source_ended; };
  const StopReason reason = WaitForEnd(**session, options.duration, has_ended, signals, console);
  absl::StatusOr<CaptureResult> result = (*session)->Stop();
  if (!result.ok()) {
    return console.Fail(result.status(), About::kTarget);
  }
  if (result->profile.samples.empty() && reason == StopReason::kTargetGone) {
    return console.Fail(
        MakeStatus(absl::StatusCode::kNotFound,
                   TargetText(target.pids) + ": it was gone before the first sample. `whyslow run` "
                                             "profiles a command from its beginning"),
        About::kTarget);
  }
  if (result->profile.samples.empty()) {
    console.Note("the target used no CPU time, so the profile is empty");
  }
  return FinishRecording(*std::move(result), plan, signals, console);
}

}  // namespace

ExitCode RunAttach(const Options& options, const Console& console) {
  WritePlan plan;
  plan.shape = options.output.shape;
  plan.base_name =
      DefaultBaseName(absl::StrFormat("%d", Number(options.capture.pids.front())), UtcSeconds());
  absl::StatusOr<std::vector<OutputFile>> outputs = ResolveOutputs(options.output, plan.base_name);
  if (!outputs.ok()) {
    return console.Fail(outputs.status(), About::kUsage);
  }
  plan.outputs = *std::move(outputs);
  if (const absl::Status status = SetNameSources(options, plan); !status.ok()) {
    return console.Fail(status, About::kUsage);
  }
  if (const absl::Status status = CheckTargets(options.capture); !status.ok()) {
    return console.Fail(status, About::kTarget);
  }
  if (const absl::Status status = CheckAllWritable(plan.outputs, options.capture.record_path);
      !status.ok()) {
    return console.Fail(status, About::kFile);
  }
  absl::StatusOr<std::unique_ptr<SignalWatcher>> signals = SignalWatcher::Start();
  if (!signals.ok()) {
    return console.Fail(signals.status(), About::kFile);
  }
  return Record(options, plan, **signals, console);
}

}  // namespace whyslow
