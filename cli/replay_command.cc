#include "cli/commands.h"
#include "cli/recording.h"

namespace whyslow {

ExitCode RunReplay(const Options& options, const Console& console) {
  WritePlan plan;
  plan.shape = options.output.shape;
  plan.base_name = DefaultBaseName("replay", UtcSeconds());
  absl::StatusOr<std::vector<OutputFile>> outputs = ResolveOutputs(options.output, plan.base_name);
  if (!outputs.ok()) {
    return console.Fail(outputs.status(), About::kUsage);
  }
  plan.outputs = *std::move(outputs);
  if (const absl::Status status = SetNameSources(options, plan); !status.ok()) {
    return console.Fail(status, About::kUsage);
  }
  if (const absl::Status status = CheckAllWritable(plan.outputs, ""); !status.ok()) {
    return console.Fail(status, About::kFile);
  }
  absl::StatusOr<std::unique_ptr<SignalWatcher>> signals =
      SignalWatcher::Start(FirstSignal::kGivesUp);
  if (!signals.ok()) {
    return console.Fail(signals.status(), About::kFile);
  }
  absl::StatusOr<CaptureResult> result = ReplayRecording(options.files.front(), options.capture);
  if (!result.ok()) {
    return console.Fail(result.status(), About::kFile);
  }
  return FinishRecording(*std::move(result), plan, **signals, console);
}

}  // namespace whyslow
