#include "profile/function_table.h"

#include <absl/container/flat_hash_map.h>
#include <absl/strings/str_format.h>

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "base/status.h"
#include "profile/saturated_sum.h"

namespace whyslow {
namespace {

// Adds samples to rows. A location is turned into rows once, so that walking the stacks handles
// numbers only, never names.
class FrameTableMaker {
 public:
  FrameTableMaker(const Profile& profile, bool by_line)
      : profile_(profile), by_line_(by_line), rows_of_location_(profile.locations.size()) {}

  void Add(const Sample& sample, int64_t value) {
    ++sample_number_;
    bool is_leaf = true;
    for (StackIndex node = sample.stack; node.valid(); node = profile_.StackAt(node).parent) {
      for (const uint32_t row : RowsOf(profile_.StackAt(node).location)) {
        if (std::exchange(is_leaf, false)) {
          rows_[row].self = SaturatedSum(rows_[row].self, value);
        }
        if (std::exchange(last_sample_of_row_[row], sample_number_) != sample_number_) {
          rows_[row].total = SaturatedSum(rows_[row].total, value);
        }
      }
    }
  }

  std::vector<TableRow> Take() && { return std::move(rows_); }

 private:
  // Innermost first. A location has at least one frame, so an empty list means: not asked yet.
  std::span<const uint32_t> RowsOf(LocationIndex location) {
    std::vector<uint32_t>& rows = rows_of_location_[location.value()];
    if (rows.empty()) {
      frames_.clear();
      AppendShownFrames(profile_, location, frames_);
      for (auto frame = frames_.rbegin(); frame != frames_.rend(); ++frame) {
        rows.push_back(RowFor(*frame));
      }
    }
    return rows;
  }

  uint32_t RowFor(const ShownFrame& frame) {
    const int64_t line = by_line_ ? frame.line : 0;
    const auto next = static_cast<uint32_t>(rows_.size());
    const auto [entry, is_new] =
        row_numbers_.try_emplace(Key{frame.name, std::string(frame.file), line}, next);
    if (is_new) {
      rows_.push_back(
          {.name = frame.name, .file = std::string(frame.file), .line = line, .kind = frame.kind});
      last_sample_of_row_.push_back(0);
    }
    return entry->second;
  }

  using Key = std::tuple<std::string, std::string, int64_t>;

  const Profile& profile_;
  bool by_line_;
  uint64_t sample_number_ = 0;
  std::vector<std::vector<uint32_t>> rows_of_location_;
  absl::flat_hash_map<Key, uint32_t> row_numbers_;
  std::vector<TableRow> rows_;
  std::vector<uint64_t> last_sample_of_row_;  // so that recursion counts once
  std::vector<ShownFrame> frames_;
};

std::vector<TableRow> RowsByFrame(const Profile& profile, size_t column, bool by_line) {
  FrameTableMaker maker(profile, by_line);
  for (size_t i = 0; i < profile.samples.size(); ++i) {
    maker.Add(profile.samples[i], profile.ValuesOf(i)[column]);
  }
  return std::move(maker).Take();
}

// One row for each pair of the text label and the number label; samples with neither share one.
std::vector<TableRow> RowsByLabel(const Profile& profile, size_t column, std::string_view text_key,
                                  std::string_view number_key) {
  absl::flat_hash_map<std::pair<std::string, int64_t>, size_t> row_numbers;
  std::vector<TableRow> rows;
  for (size_t i = 0; i < profile.samples.size(); ++i) {
    const std::string text(profile.TextLabel(profile.samples[i], text_key));
    const int64_t number = profile.NumberLabel(profile.samples[i], number_key).value_or(0);
    const auto [entry, is_new] = row_numbers.try_emplace({text, number}, rows.size());
    if (is_new) {
      rows.push_back({.name = text, .number = number});
    }
    TableRow& row = rows[entry->second];
    row.self = SaturatedSum(row.self, profile.ValuesOf(i)[column]);
    row.total = row.self;
  }
  return rows;
}

std::vector<TableRow> MakeRows(const Profile& profile, size_t column, GroupBy by) {
  switch (by) {
    case GroupBy::kThread:
      return RowsByLabel(profile, column, "thread", "tid");
    case GroupBy::kProcess:
      return RowsByLabel(profile, column, "process", "pid");
    case GroupBy::kLine:
      return RowsByFrame(profile, column, /*by_line=*/true);
    case GroupBy::kFunction:
    case GroupBy::kWait:
      break;
  }
  return RowsByFrame(profile, column, /*by_line=*/false);
}

auto SortKey(const TableRow& row) { return std::tie(row.self, row.total); }

}  // namespace

FunctionTable MakeFunctionTable(const Profile& profile, size_t column, GroupBy by) {
  WHYSLOW_CHECK(by != GroupBy::kWait);
  FunctionTable table;
  if (column >= profile.value_types.size()) {
    return table;
  }
  table.type = profile.Text(profile.value_types[column].type);
  table.unit = profile.Text(profile.value_types[column].unit);
  for (size_t i = 0; i < profile.samples.size(); ++i) {
    table.total = SaturatedSum(table.total, profile.ValuesOf(i)[column]);
  }
  table.rows = MakeRows(profile, column, by);
  std::sort(table.rows.begin(), table.rows.end(), [](const TableRow& a, const TableRow& b) {
    if (SortKey(a) != SortKey(b)) {
      return SortKey(a) > SortKey(b);
    }
    return std::tie(a.name, a.file, a.line, a.number) < std::tie(b.name, b.file, b.line, b.number);
  });
  return table;
}

}  // namespace whyslow
