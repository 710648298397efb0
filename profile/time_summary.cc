#include "profile/time_summary.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "profile/saturated_sum.h"
#include "profile/wait_facts.h"

namespace whyslow {
namespace {

std::optional<size_t> TimeColumn(const Profile& profile, std::string_view type) {
  const std::optional<size_t> column = profile.FindValueType(type);
  return column && profile.Text(profile.value_types[*column].unit) == "nanoseconds" ? column
                                                                                    : std::nullopt;
}

struct Columns {
  explicit Columns(const Profile& profile)
      : cpu(TimeColumn(profile, "cpu")),
        wait(TimeColumn(profile, "wait")),
        wall(TimeColumn(profile, "wall")),
        waits(profile.FindValueType("waits")) {}

  std::optional<size_t> cpu, wait, wall, waits;
};

void AddTo(int64_t& sum, int64_t value) { sum = SaturatedSum(sum, value); }

void AddColumn(std::optional<int64_t>& sum, std::optional<size_t> column,
               std::span<const int64_t> values) {
  if (column) {
    sum = SaturatedSum(sum.value_or(0), values[*column]);
  }
}

// A short list: other programs' own kinds are unknown ones.
KindTime& KindIn(TimeSums& sums, WaitKind kind) {
  const auto found = std::find_if(sums.kinds.begin(), sums.kinds.end(),
                                  [&](const KindTime& row) { return row.kind == kind; });
  if (found != sums.kinds.end()) {
    return *found;
  }
  sums.kinds.push_back({.kind = kind});
  return sums.kinds.back();
}

void AddSample(const Columns& columns, std::span<const int64_t> values,
               const std::optional<WaitFacts>& facts, TimeSums& sums) {
  AddColumn(sums.cpu, columns.cpu, values);
  AddColumn(sums.wait, columns.wait, values);
  AddColumn(sums.wall, columns.wall, values);
  if (!facts || !columns.wait) {
    return;
  }
  const int64_t time = values[*columns.wait];
  KindTime& kind = KindIn(sums, facts->kind.value_or(WaitKind::kUnknown));
  AddTo(kind.total, time);
  AddTo(kind.count, columns.waits ? values[*columns.waits] : 0);
  if (facts->idle) {
    AddTo(kind.idle, time);
    AddTo(sums.idle, time);
  }
}

void SortKinds(TimeSums& sums) {
  std::sort(sums.kinds.begin(), sums.kinds.end(), [](const KindTime& a, const KindTime& b) {
    return a.total != b.total ? a.total > b.total : a.kind < b.kind;
  });
}

// Threads by their numbers; where other programs' files have none, by their names.
class ThreadRows {
 public:
  ThreadTime& RowOf(const Profile& profile, const Sample& sample) {
    const std::string_view name = profile.TextLabel(sample, "thread");
    const int64_t pid = profile.NumberLabel(sample, "pid").value_or(0);
    const int64_t tid = profile.NumberLabel(sample, "tid").value_or(0);
    const auto [entry, is_new] = numbers_.try_emplace(
        std::tuple(pid, tid, tid == 0 ? std::string(name) : std::string()), rows_.size());
    if (is_new) {
      rows_.push_back({.name = std::string(name),
                       .process = std::string(profile.TextLabel(sample, "process")),
                       .pid = pid,
                       .tid = tid});
    }
    return rows_[entry->second];
  }

  std::vector<ThreadTime> TakeSorted() && {
    std::sort(rows_.begin(), rows_.end(), [](const ThreadTime& a, const ThreadTime& b) {
      const auto times = [](const ThreadTime& row) {
        return std::pair(row.times.wall.value_or(0), row.times.cpu.value_or(0));
      };
      return times(a) != times(b) ? times(a) > times(b)
                                  : std::tie(a.pid, a.tid, a.name) < std::tie(b.pid, b.tid, b.name);
    });
    return std::move(rows_);
  }

 private:
  absl::flat_hash_map<std::tuple<int64_t, int64_t, std::string>, size_t> numbers_;
  std::vector<ThreadTime> rows_;
};

}  // namespace

TimeSummary SummarizeTime(const Profile& profile) {
  const Columns columns(profile);
  TimeSummary summary;
  ThreadRows threads;
  for (size_t i = 0; i < profile.samples.size(); ++i) {
    const Sample& sample = profile.samples[i];
    const std::optional<WaitFacts> facts = WaitFactsOf(profile, sample);
    AddSample(columns, profile.ValuesOf(i), facts, summary.whole);
    AddSample(columns, profile.ValuesOf(i), facts, threads.RowOf(profile, sample).times);
  }
  summary.threads = std::move(threads).TakeSorted();
  SortKinds(summary.whole);
  for (ThreadTime& thread : summary.threads) {
    SortKinds(thread.times);
  }
  return summary;
}

}  // namespace whyslow
