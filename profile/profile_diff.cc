#include "profile/profile_diff.h"

#include <absl/container/flat_hash_map.h>
#include <absl/strings/str_format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <tuple>
#include <utility>

#include "base/status.h"
#include "profile/function_table.h"

namespace whyslow {
namespace {

struct Columns {
  size_t before = 0;
  size_t after = 0;
};

std::string_view TypeOf(const Profile& profile, size_t column) {
  return profile.Text(profile.value_types[column].type);
}

std::string_view UnitOf(const Profile& profile, size_t column) {
  return profile.Text(profile.value_types[column].unit);
}

std::optional<Columns> FindInBoth(const Profile& before, const Profile& after,
                                  std::string_view type) {
  const std::optional<size_t> first = before.FindValueType(type);
  const std::optional<size_t> second = after.FindValueType(type);
  if (!first || !second) {
    return std::nullopt;
  }
  return Columns{.before = *first, .after = *second};
}

std::optional<Columns> ChooseColumns(const Profile& before, const Profile& after,
                                     std::string_view type) {
  if (!type.empty()) {
    return FindInBoth(before, after, type);
  }
  if (after.value_types.empty()) {
    return std::nullopt;
  }
  if (auto found = FindInBoth(before, after, TypeOf(after, after.DefaultValueColumn()))) {
    return found;
  }
  for (size_t column = 0; column < after.value_types.size(); ++column) {
    if (auto found = FindInBoth(before, after, TypeOf(after, column))) {
      return found;
    }
  }
  return std::nullopt;
}

std::string TypesOf(const Profile& profile) {
  std::string types;
  for (size_t column = 0; column < profile.value_types.size(); ++column) {
    types += absl::StrFormat("%s%s/%s", column == 0 ? "" : ", ", TypeOf(profile, column),
                             UnitOf(profile, column));
  }
  return types.empty() ? "none" : types;
}

absl::StatusOr<Columns> AgreeOnColumns(const Profile& before, const Profile& after,
                                       std::string_view type) {
  const std::optional<Columns> columns = ChooseColumns(before, after, type);
  if (!columns) {
    return MakeStatus(
        absl::StatusCode::kInvalidArgument,
        absl::StrFormat("the profiles have no value in common%s%s: before has %s, "
                        "after has %s",
                        type.empty() ? "" : " named ", type, TypesOf(before), TypesOf(after)));
  }
  if (UnitOf(before, columns->before) != UnitOf(after, columns->after)) {
    return MakeStatus(
        absl::StatusCode::kInvalidArgument,
        absl::StrFormat("the units of %s differ: %s before, %s after",
                        TypeOf(after, columns->after), UnitOf(before, columns->before),
                        UnitOf(after, columns->after)));
  }
  return *columns;
}

std::string LastPart(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// Collects both sides' rows under one key.
class DiffMaker {
 public:
  void AddSide(const FunctionTable& table, double Change::*side, double scale) {
    for (const TableRow& row : table.rows) {
      const auto [entry, is_new] =
          row_numbers_.try_emplace({row.name, LastPart(row.file)}, rows_.size());
      if (is_new) {
        rows_.push_back({.name = row.name});
      }
      DiffRow& diff = rows_[entry->second];
      diff.file = row.file;
      diff.self.*side += static_cast<double>(row.self) * scale;
      diff.total.*side += static_cast<double>(row.total) * scale;
    }
  }

  std::vector<DiffRow> TakeSorted() && {
    std::sort(rows_.begin(), rows_.end(), [](const DiffRow& a, const DiffRow& b) {
      const auto size_of = [](const DiffRow& row) {
        return std::pair(std::abs(row.self.delta()), std::abs(row.total.delta()));
      };
      if (size_of(a) != size_of(b)) {
        return size_of(a) > size_of(b);
      }
      return std::tie(a.name, a.file) < std::tie(b.name, b.file);
    });
    return std::move(rows_);
  }

 private:
  absl::flat_hash_map<std::pair<std::string, std::string>, size_t> row_numbers_;
  std::vector<DiffRow> rows_;
};

}  // namespace

absl::StatusOr<ProfileDiff> DiffProfiles(const Profile& before, const Profile& after,
                                         std::string_view type) {
  ASSIGN_OR_RETURN(const Columns columns, AgreeOnColumns(before, after, type));
  ProfileDiff diff;
  diff.type = TypeOf(after, columns.after);
  diff.unit = UnitOf(after, columns.after);
  diff.per_second = before.duration_nanos > 0 && after.duration_nanos > 0;
  const auto scale = [&](const Profile& profile) {
    return diff.per_second ? 1e9 / static_cast<double>(profile.duration_nanos) : 1.0;
  };

  const FunctionTable first = MakeFunctionTable(before, columns.before, GroupBy::kFunction);
  const FunctionTable second = MakeFunctionTable(after, columns.after, GroupBy::kFunction);
  diff.whole.before = static_cast<double>(first.total) * scale(before);
  diff.whole.after = static_cast<double>(second.total) * scale(after);
  DiffMaker maker;
  maker.AddSide(first, &Change::before, scale(before));
  maker.AddSide(second, &Change::after, scale(after));
  diff.rows = std::move(maker).TakeSorted();
  return diff;
}

}  // namespace whyslow
