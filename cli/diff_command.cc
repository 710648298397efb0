#include "cli/commands.h"
#include "cli/profile_files.h"
#include "cli/report_text.h"
#include "profile/profile_diff.h"

namespace whyslow {

ExitCode RunDiff(const Options& options, const Console& console) {
  const absl::StatusOr<Profile> before = LoadProfiles({options.files[0]}, options.filter);
  if (!before.ok()) {
    return console.Fail(before.status(), About::kFile);
  }
  const absl::StatusOr<Profile> after = LoadProfiles({options.files[1]}, options.filter);
  if (!after.ok()) {
    return console.Fail(after.status(), About::kFile);
  }
  const absl::StatusOr<ProfileDiff> diff = DiffProfiles(*before, *after, options.value_type);
  if (!diff.ok()) {
    return console.Fail(diff.status(), About::kFile);
  }
  const std::string text =
      options.json ? DiffAsJson(*diff, options.limit.value_or(diff->rows.size()))
                   : DiffAsText(*diff, {.limit = options.limit.value_or(TextStyle().limit),
                                        .width = console.out_width(),
                                        .color = console.colors_out()});
  if (const absl::Status status = console.WriteOut(text); !status.ok()) {
    return console.Fail(status, About::kFile);
  }
  return ExitCode::kDone;
}

}  // namespace whyslow
