#include "cli/wait_report.h"

#include <absl/strings/str_format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "cli/table.h"
#include "cli/text.h"
#include "exporters/wait_json.h"

namespace whyslow {
namespace {

using Json = nlohmann::ordered_json;

// Durations of one table lie so far apart that each has its own unit.
std::string Duration(uint64_t nanos) {
  const auto value = static_cast<double>(nanos);
  return ValueScale("nanoseconds", value).Format(value);
}

std::string Count(int64_t count) {
  return count > 0 ? WithThousands(static_cast<uint64_t>(count)) : "-";
}

std::string ShownSite(const WaitSite& site) {
  if (site.file.empty()) {
    return site.function;
  }
  const std::string file = site.file.substr(site.file.rfind('/') + 1);
  return site.line > 0 ? absl::StrFormat("%s (%s:%d)", site.function, file, site.line)
                       : absl::StrFormat("%s (%s)", site.function, file);
}

// "socket 127.0.0.1:5432 postgresql in Query (db.cc:12)"
std::string ShownWait(const WaitTableRow& row) {
  return row.words + (row.idle ? " (idle)" : "") +
         (row.site.function.empty() ? "" : " in " + ShownSite(row.site));
}

std::vector<std::string> Quantiles(const DurationHistogram& times) {
  if (times.count == 0) {
    return {"-", "-", "-"};
  }
  return {Duration(times.Quantile(0.5)), Duration(times.Quantile(0.95)), Duration(times.max)};
}

std::string WhatIsMissing(const WaitTable& table) {
  if (table.count_with_times >= table.count) {
    return {};
  }
  if (table.count_with_times == 0) {
    return "p50, p95 and max are missing: the file does not hold how long single waits were "
           "(another "
           "program may have left it out)\n";
  }
  return absl::StrFormat(
      "p50, p95 and max are of %s of the %s waits; of the others only the sums "
      "are known\n",
      Count(table.count_with_times), Count(table.count));
}

}  // namespace

std::string WaitsAsText(const WaitTable& table, const TextStyle& style) {
  const auto whole = static_cast<double>(table.total);
  const ValueScale scale("nanoseconds", whole);
  std::string text =
      absl::StrFormat("wait: %s in all, %s waits\n", scale.Format(whole),
                      WithThousands(static_cast<uint64_t>(std::max<int64_t>(table.count, 0))));
  TextTable columns({"wait", "share", "count", "p50", "p95", "max", "for what, where"});
  const size_t shown = std::min(style.limit, table.rows.size());
  for (size_t i = 0; i < shown; ++i) {
    const WaitTableRow& row = table.rows[i];
    const auto total = static_cast<double>(row.total);
    std::vector<std::string> cells = {scale.Format(total), FormatShare(total, whole),
                                      Count(row.count)};
    for (std::string& cell : Quantiles(row.times)) {
      cells.push_back(std::move(cell));
    }
    cells.push_back(ShownWait(row));
    columns.AddRow(std::move(cells));
  }
  return text + columns.Render(style.width, style.color) +
         RowsLeftOut(table.rows.size(), style.limit) + WhatIsMissing(table);
}

std::string WaitsAsJson(const WaitTable& table, int64_t duration_nanos, size_t limit,
                        int64_t idle_left_out) {
  const Json json = {{"format", "whyslow-report"},
                     {"version", kReportJsonVersion},
                     {"by", "wait"},
                     {"value", {{"type", "wait"}, {"unit", "nanoseconds"}}},
                     {"duration_nanos", duration_nanos},
                     {"total", table.total},
                     {"count", table.count},
                     {"timed", table.count_with_times},
                     {"idle_left_out", idle_left_out},
                     {"rows", WaitRowsAsJson(table, limit)},
                     {"rows_left_out", table.rows.size() - std::min(limit, table.rows.size())}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace whyslow
