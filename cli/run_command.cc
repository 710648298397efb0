#include <absl/strings/str_format.h>
#include <signal.h>

#include "base/status.h"
#include "cli/child_process.h"
#include "cli/commands.h"
#include "cli/recording.h"
#include "cli/text.h"

namespace whyslow {
namespace {

// What the end of the profile meant for the child.
std::string TellChild(ChildProcess& child, const std::string& name) {
  // A child that was just told to end needs a moment; a server that finishes its requests is not
  // waited for.
  constexpr Nanoseconds kMoment = std::chrono::milliseconds(200);
  const std::optional<ChildEnd> end = child.WaitForEnd(kMoment);
  return end ? absl::StrFormat("%s %s", name, end->Describe())
             : absl::StrFormat("%s goes on as process %d", name, Number(child.pid()));
}

// The terminal tells the child itself; anyone else told only us.
void PassOn(const StopSignal& signal, const ChildProcess& child) {
  if (signal.number != 0 && !signal.from_terminal) {
    child.Signal(signal.number);
  }
}

class RunRecording {
 public:
  RunRecording(const Options& options, const Console& console)
      : options_(options), console_(console) {}

  int Run() {
    plan_.shape = options_.output.shape;
    absl::StatusOr<std::unique_ptr<SignalWatcher>> signals = SignalWatcher::Start();
    if (!signals.ok()) {
      return Fail(signals.status(), About::kFile);
    }
    signals_ = *std::move(signals);
    // Wrong usage is told before anything is started; the default name comes with the pid.
    if (const auto outputs = ResolveOutputs(options_.output, ""); !outputs.ok()) {
      return Fail(outputs.status(), About::kUsage);
    }
    if (const absl::Status status = SetNameSources(options_, plan_); !status.ok()) {
      return Fail(status, About::kUsage);
    }
    absl::StatusOr<std::unique_ptr<ChildProcess>> child =
        ChildProcess::Prepare(options_.child_command);
    if (!child.ok()) {
      return Fail(child.status(), About::kTarget);
    }
    child_ = *std::move(child);
    plan_.base_name = DefaultBaseName(absl::StrFormat("%d", Number(child_->pid())), UtcSeconds());
    absl::StatusOr<std::vector<OutputFile>> outputs =
        ResolveOutputs(options_.output, plan_.base_name);
    if (!outputs.ok()) {
      return Fail(outputs.status(), About::kUsage);
    }
    plan_.outputs = *std::move(outputs);
    if (const absl::Status status = CheckAllWritable(plan_.outputs, options_.capture.record_path);
        !status.ok()) {
      return Fail(status, About::kFile);
    }
    return Record();
  }

 private:
  int Fail(const absl::Status& status, About about) const {
    return static_cast<int>(console_.Fail(status, about));
  }

  int Record() {
    SessionOptions target = options_.capture;
    target.pids = {child_->pid()};
    target.comments = HeadComments(options_, options_.child_command.front());
    signals_->RemoveWhenGivenUp(target.record_path);
    absl::StatusOr<std::unique_ptr<CaptureSession>> session = StartSession(target);
    if (!session.ok()) {
      return Fail(session.status(), About::kTarget);
    }
    for (const std::string& note : (*session)->notes()) {
      console_.Note(note);
    }
    if (const absl::Status status = child_->Release(); !status.ok()) {
      return Fail(status, About::kTarget);
    }
    const auto has_ended = [this] { return child_->WaitForEnd(Nanoseconds::zero()).has_value(); };
    WaitForEnd(**session, options_.duration, has_ended, *signals_, console_);
    absl::StatusOr<CaptureResult> result = (*session)->Stop();
    PassOn(signals_->stop_signal(), *child_);
    if (!result.ok()) {
      return Fail(result.status(), About::kTarget);
    }
    return Finish(*std::move(result));
  }

  int Finish(CaptureResult result) {
    if (result.profile.samples.empty()) {
      console_.Note("the command ended before the first sample, so the profile is empty");
    }
    plan_.child = TellChild(*child_, options_.child_command.front());
    const ExitCode code = FinishRecording(std::move(result), plan_, *signals_, console_);
    if (code != ExitCode::kDone || !options_.propagate_status) {
      return static_cast<int>(code);
    }
    return child_->WaitForEnd(std::nullopt).value_or(ChildEnd{}).ExitStatus();
  }

  const Options& options_;
  const Console& console_;
  WritePlan plan_;
  std::unique_ptr<SignalWatcher> signals_;
  std::unique_ptr<ChildProcess> child_;
};

}  // namespace

int RunRun(const Options& options, const Console& console) {
  return RunRecording(options, console).Run();
}

}  // namespace whyslow
