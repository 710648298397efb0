#include "sampler/bpf/code_ranges.h"

#include <algorithm>
#include <iterator>

namespace whyslow {

void CodeRanges::Add(RuntimeAddress start_address, uint64_t size) {
  uint64_t start = start_address.value();
  uint64_t end = start + size;
  if (end <= start) {
    return;
  }
  auto row = ends_.upper_bound(start);
  if (row != ends_.begin() && std::prev(row)->second >= start) {
    --row;
  }
  while (row != ends_.end() && row->first <= end) {
    start = std::min(start, row->first);
    end = std::max(end, row->second);
    row = ends_.erase(row);
  }
  ends_.emplace(start, end);
}

std::vector<std::pair<uint64_t, uint64_t>> CodeRanges::AtMost(size_t most) const {
  std::vector<std::pair<uint64_t, uint64_t>> ranges(ends_.begin(), ends_.end());
  if (ranges.size() <= most || most == 0) {
    return ranges;
  }
  std::vector<uint64_t> gaps;
  for (size_t i = 1; i < ranges.size(); ++i) {
    gaps.push_back(ranges[i].first - ranges[i - 1].second);
  }
  // The smallest ones are closed, as many as it takes.
  size_t to_close = ranges.size() - most;
  std::vector<uint64_t> sorted = gaps;
  std::nth_element(sorted.begin(), sorted.begin() + static_cast<ptrdiff_t>(to_close) - 1,
                   sorted.end());
  const uint64_t widest = sorted[to_close - 1];
  to_close -= static_cast<size_t>(
      std::ranges::count_if(gaps, [widest](uint64_t gap) { return gap < widest; }));
  std::vector<std::pair<uint64_t, uint64_t>> fewer = {ranges[0]};
  for (size_t i = 1; i < ranges.size(); ++i) {
    const uint64_t gap = gaps[i - 1];
    const bool closes = gap < widest || (gap == widest && to_close > 0);
    if (gap == widest && closes) {
      --to_close;
    }
    if (closes) {
      fewer.back().second = ranges[i].second;
    } else {
      fewer.push_back(ranges[i]);
    }
  }
  return fewer;
}

}  // namespace whyslow
