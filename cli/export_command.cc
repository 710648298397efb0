#include "cli/commands.h"
#include "cli/output_files.h"
#include "cli/profile_files.h"
#include "cli/signals.h"
#include "profile/profile_filter.h"

namespace whyslow {

ExitCode RunExport(const Options& options, const Console& console) {
  const absl::StatusOr<std::vector<OutputFile>> outputs = ResolveOutputs(options.output, "");
  if (!outputs.ok()) {
    return console.Fail(outputs.status(), About::kUsage);
  }
  absl::StatusOr<Profile> profile = LoadProfiles(options.files, options.filter);
  if (!profile.ok()) {
    return console.Fail(profile.status(), About::kFile);
  }
  if (!options.idle.value_or(true)) {
    profile = FilterProfile(*std::move(profile), {.idle = false});
  }
  const absl::StatusOr<std::unique_ptr<SignalWatcher>> signals =
      SignalWatcher::Start(FirstSignal::kGivesUp);
  if (!signals.ok()) {
    return console.Fail(signals.status(), About::kFile);
  }
  const WriteResult result = [&] {
    const SignalWatcher::WritingScope writing(**signals);
    return WriteOutputs(*profile, *outputs, options.output.shape, **signals);
  }();
  if ((*signals)->gave_up()) {
    return ExitCode::kGivenUp;
  }
  for (const absl::Status& problem : result.failed) {
    console.Error(std::string(problem.message()));
  }
  for (const std::string& path : result.written) {
    console.Detail("wrote " + path);
  }
  return result.failed.empty() ? ExitCode::kDone : ExitCode::kFailed;
}

}  // namespace whyslow
