#include "base/status.h"
#include "cli/commands.h"
#include "cli/profile_files.h"
#include "cli/report_text.h"
#include "cli/wait_report.h"
#include "profile/profile_filter.h"
#include "profile/saturated_sum.h"
#include "profile/wait_facts.h"

namespace whyslow {
namespace {

// What is left of a profile for the tables, and how much of the column they do not show.
struct Reported {
  Profile profile;
  size_t column = 0;
  int64_t idle_left_out = 0;
};

int64_t SumOfIdle(const Profile& profile, size_t column) {
  int64_t sum = 0;
  for (size_t i = 0; i < profile.samples.size(); ++i) {
    if (IsIdle(profile, profile.samples[i])) {
      sum = SaturatedSum(sum, profile.ValuesOf(i)[column]);
    }
  }
  return sum;
}

absl::StatusOr<Reported> Load(const Options& options) {
  Reported reported;
  ASSIGN_OR_RETURN(reported.profile, LoadProfiles(options.files, options.filter));
  ASSIGN_OR_RETURN(reported.column, options.by == GroupBy::kWait
                                        ? ChooseWaitColumn(reported.profile)
                                        : ChooseColumn(reported.profile, options.value_type));
  if (!options.idle.value_or(false)) {
    reported.idle_left_out = SumOfIdle(reported.profile, reported.column);
    reported.profile = FilterProfile(std::move(reported.profile), {.idle = false});
  }
  return reported;
}

std::string AsJson(const Reported& reported, const Options& options) {
  const size_t limit = options.limit.value_or(SIZE_MAX);
  const int64_t duration = reported.profile.duration_nanos;
  if (options.by == GroupBy::kWait) {
    return WaitsAsJson(MakeWaitTable(reported.profile), duration, limit, reported.idle_left_out);
  }
  return TableAsJson(MakeFunctionTable(reported.profile, reported.column, options.by), options.by,
                     duration, limit, reported.idle_left_out);
}

std::string AsText(const Reported& reported, const Options& options, const TextStyle& style) {
  const std::string table =
      options.by == GroupBy::kWait
          ? WaitsAsText(MakeWaitTable(reported.profile), style)
          : TableAsText(MakeFunctionTable(reported.profile, reported.column, options.by),
                        options.by, style);
  const ValueType& type = reported.profile.value_types[reported.column];
  return table + IdleLeftOutLine(reported.idle_left_out, reported.profile.Text(type.unit));
}

}  // namespace

ExitCode RunReport(const Options& options, const Console& console) {
  const absl::StatusOr<Reported> reported = Load(options);
  if (!reported.ok()) {
    return console.Fail(reported.status(), About::kFile);
  }
  const std::string text = options.json
                               ? AsJson(*reported, options)
                               : AsText(*reported, options,
                                        {.limit = options.limit.value_or(TextStyle().limit),
                                         .width = console.out_width(),
                                         .color = console.colors_out()});
  if (const absl::Status status = console.WriteOut(text); !status.ok()) {
    return console.Fail(status, About::kFile);
  }
  return ExitCode::kDone;
}

}  // namespace whyslow
