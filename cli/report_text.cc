#include "cli/report_text.h"

#include <absl/strings/str_format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>

#include "cli/table.h"
#include "cli/text.h"

namespace whyslow {
namespace {

using Json = nlohmann::ordered_json;

std::string_view NameOf(GroupBy by) {
  switch (by) {
    case GroupBy::kFunction:
      return "function";
    case GroupBy::kLine:
      return "line";
    case GroupBy::kThread:
      return "thread";
    case GroupBy::kProcess:
      return "process";
    case GroupBy::kWait:
      return "wait";
  }
  return "";
}

bool IsByLabel(GroupBy by) { return by == GroupBy::kThread || by == GroupBy::kProcess; }

// Where the code is, short: build folders make paths long, and JSON has them in full.
std::string LastPart(const std::string& path) { return path.substr(path.rfind('/') + 1); }

std::string ShownName(const TableRow& row, GroupBy by) {
  if (IsByLabel(by)) {
    const std::string name = row.name.empty() ? "(no name)" : row.name;
    return row.number == 0 ? name : absl::StrFormat("%s (%d)", name, row.number);
  }
  if (row.file.empty()) {
    return row.name;
  }
  return row.line == 0 ? absl::StrFormat("%s (%s)", row.name, LastPart(row.file))
                       : absl::StrFormat("%s (%s:%d)", row.name, row.file, row.line);
}

// Text of any bytes: what is no UTF-8 is replaced, for JSON has no other bytes.
std::string Dump(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json ChangeAsJson(const Change& change) {
  return {{"before", change.before}, {"after", change.after}, {"delta", change.delta()}};
}

}  // namespace

std::string RowsLeftOut(size_t rows, size_t limit) {
  return rows <= limit
             ? ""
             : absl::StrFormat("%s more rows; --limit N shows more\n", WithThousands(rows - limit));
}

std::string IdleLeftOutLine(int64_t value, std::string_view unit) {
  const auto amount = static_cast<double>(value);
  return value == 0 ? ""
                    : absl::StrFormat("idle waits left out: %s; --idle yes shows them\n",
                                      ValueScale(unit, amount).Format(amount));
}

std::string TableAsText(const FunctionTable& table, GroupBy by, const TextStyle& style) {
  const auto whole = static_cast<double>(table.total);
  const ValueScale scale(table.unit, whole);
  std::string text = absl::StrFormat("%s: %s in all\n", Printable(table.type), scale.Format(whole));
  TextTable columns(
      IsByLabel(by)
          ? std::vector<std::string>{Printable(table.type), "share", std::string(NameOf(by))}
          : std::vector<std::string>{"self", "share", "total", "share", std::string(NameOf(by))});
  const size_t shown = std::min(style.limit, table.rows.size());
  for (size_t i = 0; i < shown; ++i) {
    const TableRow& row = table.rows[i];
    const auto self = static_cast<double>(row.self);
    const auto total = static_cast<double>(row.total);
    std::vector<std::string> cells = {scale.Format(self), FormatShare(self, whole)};
    if (!IsByLabel(by)) {
      cells.push_back(scale.Format(total));
      cells.push_back(FormatShare(total, whole));
    }
    cells.push_back(ShownName(row, by));
    columns.AddRow(std::move(cells));
  }
  return text + columns.Render(style.width, style.color) +
         RowsLeftOut(table.rows.size(), style.limit);
}

std::string DiffAsText(const ProfileDiff& diff, const TextStyle& style) {
  double greatest = std::max(std::abs(diff.whole.before), std::abs(diff.whole.after));
  const ValueScale scale(diff.unit, greatest, diff.per_second);
  std::string text = absl::StrFormat(
      "%s%s: %s before, %s after, %s (%s)\n", Printable(diff.type),
      diff.per_second ? " per second profiled" : "", scale.Format(diff.whole.before),
      scale.Format(diff.whole.after), scale.FormatChange(diff.whole.delta()),
      FormatShare(diff.whole.delta(), diff.whole.before));
  if (!diff.per_second) {
    text += "A profile does not say how long it took: sums are compared.\n";
  }
  TextTable columns(
      {"self before", "after", "\u0394", "total before", "after", "\u0394", "function"});
  const size_t shown = std::min(style.limit, diff.rows.size());
  for (size_t i = 0; i < shown; ++i) {
    const DiffRow& row = diff.rows[i];
    columns.AddRow(
        {scale.Format(row.self.before), scale.Format(row.self.after),
         scale.FormatChange(row.self.delta()), scale.Format(row.total.before),
         scale.Format(row.total.after), scale.FormatChange(row.total.delta()),
         row.file.empty() ? row.name : absl::StrFormat("%s (%s)", row.name, LastPart(row.file))});
  }
  return text + columns.Render(style.width, style.color) +
         RowsLeftOut(diff.rows.size(), style.limit);
}

std::string TableAsJson(const FunctionTable& table, GroupBy by, int64_t duration_nanos,
                        size_t limit, int64_t idle_left_out) {
  Json rows = Json::array();
  for (size_t i = 0; i < std::min(limit, table.rows.size()); ++i) {
    const TableRow& row = table.rows[i];
    Json json = {{"name", row.name}};
    if (IsByLabel(by)) {
      json[by == GroupBy::kThread ? "tid" : "pid"] = row.number;
      json["value"] = row.self;
    } else {
      json["file"] = row.file;
      if (by == GroupBy::kLine) {
        json["line"] = row.line;
      }
      json["self"] = row.self;
      json["total"] = row.total;
    }
    rows.push_back(std::move(json));
  }
  return Dump({{"format", "whyslow-report"},
               {"version", kReportJsonVersion},
               {"by", NameOf(by)},
               {"value", {{"type", table.type}, {"unit", table.unit}}},
               {"duration_nanos", duration_nanos},
               {"total", table.total},
               {"idle_left_out", idle_left_out},
               {"rows", std::move(rows)},
               {"rows_left_out", table.rows.size() - std::min(limit, table.rows.size())}});
}

std::string DiffAsJson(const ProfileDiff& diff, size_t limit) {
  Json rows = Json::array();
  for (size_t i = 0; i < std::min(limit, diff.rows.size()); ++i) {
    const DiffRow& row = diff.rows[i];
    rows.push_back({{"name", row.name},
                    {"file", row.file},
                    {"self", ChangeAsJson(row.self)},
                    {"total", ChangeAsJson(row.total)}});
  }
  return Dump({{"format", "whyslow-diff"},
               {"version", kReportJsonVersion},
               {"value", {{"type", diff.type}, {"unit", diff.unit}}},
               {"per_second", diff.per_second},
               {"total", ChangeAsJson(diff.whole)},
               {"rows", std::move(rows)},
               {"rows_left_out", diff.rows.size() - std::min(limit, diff.rows.size())}});
}

}  // namespace whyslow
