#include "exporters/summary_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "exporters/profile_title.h"
#include "exporters/wait_json.h"
#include "profile/function_table.h"
#include "profile/saturated_sum.h"
#include "profile/time_summary.h"
#include "profile/wait_table.h"

namespace whyslow {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kVersion = 1;
constexpr size_t kMostFunctions = 200;
constexpr size_t kMostThreads = 1000;
constexpr size_t kMostWaits = 500;

Json OrNull(const std::optional<int64_t>& value) { return value ? Json(*value) : Json(nullptr); }

size_t LeftOut(size_t rows, size_t limit) { return rows - std::min(rows, limit); }

Json ValuesAsJson(const Profile& profile) {
  Json values = Json::array();
  for (size_t column = 0; column < profile.value_types.size(); ++column) {
    int64_t total = 0;
    for (size_t i = 0; i < profile.samples.size(); ++i) {
      total = SaturatedSum(total, profile.ValuesOf(i)[column]);
    }
    values.push_back({{"type", profile.Text(profile.value_types[column].type)},
                      {"unit", profile.Text(profile.value_types[column].unit)},
                      {"total", total}});
  }
  return values;
}

Json TimesAsJson(const TimeSums& times) {
  Json kinds = Json::array();
  for (const KindTime& row : times.kinds) {
    kinds.push_back({{"kind", NameOf(row.kind)},
                     {"family", NameOf(FamilyOf(row.kind))},
                     {"count", row.count},
                     {"total_ns", row.total},
                     {"idle_ns", row.idle}});
  }
  return {{"cpu_ns", OrNull(times.cpu)},
          {"wait_ns", OrNull(times.wait)},
          {"wall_ns", OrNull(times.wall)},
          {"idle_ns", times.idle},
          {"waits", std::move(kinds)}};
}

Json ThreadsAsJson(const std::vector<ThreadTime>& threads) {
  Json rows = Json::array();
  for (size_t i = 0; i < std::min(threads.size(), kMostThreads); ++i) {
    Json row = {{"name", threads[i].name},
                {"process", threads[i].process},
                {"pid", threads[i].pid},
                {"tid", threads[i].tid}};
    row.update(TimesAsJson(threads[i].times));
    rows.push_back(std::move(row));
  }
  return {{"rows", std::move(rows)}, {"rows_left_out", LeftOut(threads.size(), kMostThreads)}};
}

Json FunctionsAsJson(const Profile& profile) {
  const FunctionTable table =
      MakeFunctionTable(profile, profile.DefaultValueColumn(), GroupBy::kFunction);
  Json rows = Json::array();
  for (size_t i = 0; i < std::min(table.rows.size(), kMostFunctions); ++i) {
    const TableRow& row = table.rows[i];
    rows.push_back(
        {{"name", row.name}, {"file", row.file}, {"self", row.self}, {"total", row.total}});
  }
  return {{"value", {{"type", table.type}, {"unit", table.unit}}},
          {"total", table.total},
          {"rows", std::move(rows)},
          {"rows_left_out", LeftOut(table.rows.size(), kMostFunctions)}};
}

Json WaitsAsJson(const Profile& profile) {
  if (!KnowsWaits(profile)) {
    return nullptr;
  }
  const WaitTable table = MakeWaitTable(profile);
  return {{"count", table.count},
          {"timed", table.count_with_times},
          {"total_ns", table.total},
          {"rows", WaitRowsAsJson(table, kMostWaits)},
          {"rows_left_out", LeftOut(table.rows.size(), kMostWaits)}};
}

Json CommentsAsJson(const Profile& profile) {
  Json comments = Json::array();
  for (const StringIndex comment : profile.comments) {
    comments.push_back(profile.Text(comment));
  }
  return comments;
}

}  // namespace

absl::Status SummaryJsonExporter::Write(const Profile& profile, std::ostream& out) const {
  const TimeSummary summary = SummarizeTime(profile);
  const Json json = {{"format", "whyslow-summary"},
                     {"version", kVersion},
                     {"target", CommentValue(profile, "target")},
                     {"mode", CommentValue(profile, "mode")},
                     {"time_nanos", profile.time_nanos},
                     {"duration_nanos", profile.duration_nanos},
                     {"comments", CommentsAsJson(profile)},
                     {"values", ValuesAsJson(profile)},
                     {"times", TimesAsJson(summary.whole)},
                     {"threads", ThreadsAsJson(summary.threads)},
                     {"functions", FunctionsAsJson(profile)},
                     {"waits", WaitsAsJson(profile)}};
  // JSON has no bytes that are no UTF-8: they are replaced.
  out << json.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
  return FinishStream(out);
}

}  // namespace whyslow
