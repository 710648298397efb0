#include "profile/wait_table.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <tuple>
#include <utility>

#include "profile/saturated_sum.h"
#include "profile/wait_facts.h"

namespace whyslow {
namespace {

constexpr std::string_view kNanoseconds = "nanoseconds";

std::optional<size_t> TimeColumn(const Profile& profile) {
  const std::optional<size_t> column = profile.FindValueType("wait");
  return column && profile.Text(profile.value_types[*column].unit) == kNanoseconds ? column
                                                                                   : std::nullopt;
}

int64_t Signed(uint64_t count) {
  return static_cast<int64_t>(std::min<uint64_t>(count, std::numeric_limits<int64_t>::max()));
}

auto KeyOf(const WaitTableRow& row) {
  return std::tie(row.kind, row.peer, row.protocol, row.file, row.syscall, row.tls,
                  row.site.function, row.site.file, row.site.line, row.idle);
}

class WaitTableMaker {
 public:
  explicit WaitTableMaker(const Profile& profile)
      : profile_(profile),
        sites_(profile),
        time_column_(*TimeColumn(profile)),
        count_column_(profile.FindValueType("waits")) {}

  void Add(size_t index) {
    const Sample& sample = profile_.samples[index];
    const std::span<const int64_t> values = profile_.ValuesOf(index);
    const int64_t time = values[time_column_];
    const int64_t count = count_column_ ? values[*count_column_] : 0;
    if (time == 0 && count == 0) {
      return;
    }
    WaitTableRow& row = RowOf(sample);
    row.count = SaturatedSum(row.count, count);
    row.total = SaturatedSum(row.total, time);
    table_.count = SaturatedSum(table_.count, count);
    table_.total = SaturatedSum(table_.total, time);
    const auto times = profile_.wait_times.find(index);
    if (times != profile_.wait_times.end()) {
      row.times.Add(times->second);
      table_.count_with_times = SaturatedSum(table_.count_with_times, Signed(times->second.count));
    }
  }

  WaitTable TakeSorted() && {
    std::sort(table_.rows.begin(), table_.rows.end(),
              [](const WaitTableRow& a, const WaitTableRow& b) {
                return a.total != b.total ? a.total > b.total : KeyOf(a) < KeyOf(b);
              });
    return std::move(table_);
  }

 private:
  WaitTableRow& RowOf(const Sample& sample) {
    WaitTableRow row = NewRow(sample);
    std::string key;
    for (const std::string* text : {&row.kind, &row.peer, &row.protocol, &row.file, &row.syscall,
                                    &row.tls, &row.site.function, &row.site.file}) {
      key.append(*text).push_back('\0');
    }
    key += std::to_string(row.site.line) + (row.idle ? "i" : "");
    const auto [entry, is_new] = row_numbers_.try_emplace(std::move(key), table_.rows.size());
    if (is_new) {
      table_.rows.push_back(std::move(row));
    }
    return table_.rows[entry->second];
  }

  WaitTableRow NewRow(const Sample& sample) {
    // Another program's file may have waiting time without saying for what.
    const WaitFacts facts = WaitFactsOf(profile_, sample)
                                .value_or(WaitFacts{.kind_name = NameOf(WaitKind::kUnknown),
                                                    .kind = WaitKind::kUnknown,
                                                    .idle = IsIdle(profile_, sample)});
    WaitTableRow row{.kind = std::string(facts.kind_name),
                     .family = FamilyOf(facts),
                     .words = WaitWords(facts),
                     .site = sites_.Find(sample.stack),
                     .idle = facts.idle};
    if (row.family != WaitFamily::kScheduler) {
      row.peer = facts.peer;
      row.protocol = facts.protocol;
      row.file = facts.file;
      row.syscall = facts.syscall;
      row.tls = facts.tls;
    }
    return row;
  }

  const Profile& profile_;
  WaitSiteFinder sites_;
  size_t time_column_;
  std::optional<size_t> count_column_;
  absl::flat_hash_map<std::string, size_t> row_numbers_;
  WaitTable table_;
};

}  // namespace

bool KnowsWaits(const Profile& profile) { return TimeColumn(profile).has_value(); }

WaitTable MakeWaitTable(const Profile& profile) {
  if (!KnowsWaits(profile)) {
    return {};
  }
  WaitTableMaker maker(profile);
  for (size_t i = 0; i < profile.samples.size(); ++i) {
    maker.Add(i);
  }
  return std::move(maker).TakeSorted();
}

}  // namespace whyslow
