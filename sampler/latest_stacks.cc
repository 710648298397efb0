#include "sampler/latest_stacks.h"

namespace whyslow {

std::optional<WaitsEnded> LatestStacks::Waited(const WaitsEnded& waits) {
  DurationHistogram& before = before_[{waits.tid, waits.stack, waits.python}];
  if (waits.still_waiting == 0) {
    before.Add(waits.times);
    return std::nullopt;
  }
  WaitsEnded all = waits;
  all.times.Add(before);
  return all;
}

void LatestStacks::Write(ProfileWriter& writer) const {
  for (const auto& [tid, row] : samples_) {
    if (!placed_.contains(tid)) {
      writer.AddCpuRow(row);
    }
  }
}

}  // namespace whyslow
