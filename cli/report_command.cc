#include "cli/commands.h"
#include "cli/profile_files.h"
#include "cli/report_text.h"

namespace whyslow {

ExitCode RunReport(const Options& options, const Console& console) {
  const absl::StatusOr<Profile> profile = LoadProfiles(options.files, options.filter);
  if (!profile.ok()) {
    return console.Fail(profile.status(), About::kFile);
  }
  const absl::StatusOr<size_t> column = ChooseColumn(*profile, options.value_type);
  if (!column.ok()) {
    return console.Fail(column.status(), About::kFile);
  }
  const FunctionTable table = MakeFunctionTable(*profile, *column, options.by);
  const std::string text = options.json
                               ? TableAsJson(table, options.by, profile->duration_nanos,
                                             options.limit.value_or(table.rows.size()))
                               : TableAsText(table, options.by,
                                             {.limit = options.limit.value_or(TextStyle().limit),
                                              .width = console.out_width(),
                                              .color = console.colors_out()});
  if (const absl::Status status = console.WriteOut(text); !status.ok()) {
    return console.Fail(status, About::kFile);
  }
  return ExitCode::kDone;
}

}  // namespace whyslow
