#include "exporters/wait_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace whyslow {
namespace {

using Json = nlohmann::ordered_json;

Json RowAsJson(const WaitTableRow& row) {
  Json json = {
      {"kind", row.kind},
      {"family", NameOf(row.family)},
      {"idle", row.idle},
      {"peer", row.peer},
      {"protocol", row.protocol},
      {"file", row.file},
      {"syscall", row.syscall},
      {"tls", row.tls},
      {"site", {{"function", row.site.function}, {"file", row.site.file}, {"line", row.site.line}}},
      {"count", row.count},
      {"total_ns", row.total},
      {"timed", row.times.count},
      {"p50_ns", nullptr},
      {"p95_ns", nullptr},
      {"max_ns", nullptr}};
  if (row.times.count > 0) {
    json["p50_ns"] = row.times.Quantile(0.5);
    json["p95_ns"] = row.times.Quantile(0.95);
    json["max_ns"] = row.times.max;
  }
  return json;
}

}  // namespace

Json WaitRowsAsJson(const WaitTable& table, size_t limit) {
  Json rows = Json::array();
  for (size_t i = 0; i < std::min(limit, table.rows.size()); ++i) {
    rows.push_back(RowAsJson(table.rows[i]));
  }
  return rows;
}

}  // namespace whyslow
