#include "sampler/perf/stop_duty.h"

#include <algorithm>

namespace whyslow {
namespace {

constexpr double kMostPerSecond = 20'000;
constexpr double kLongestPause = 50;

}  // namespace

// Of differing lengths, so that what the target does in turns is met at each of its turns.
uint32_t StopDuty::Pause() {
  const double mean = std::min(rate_ / kMostPerSecond - 1, kLongestPause);
  random_ = random_ * 1'664'525 + 1'013'904'223;
  const double about_one = 0.5 + static_cast<double>(random_ >> 16) / 65'536;
  return mean < 0.5 ? 0 : static_cast<uint32_t>(mean * about_one + 0.5);
}

bool StopDuty::NextRound(uint64_t switches, double seconds) {
  constexpr double kNew = 0.25;
  if (seconds > 0) {
    rate_ += kNew * (static_cast<double>(switches) / seconds - rate_);
  }
  if (left_ > 0) {
    --left_;
    return left_ == 0;
  }
  left_ = Pause();
  return left_ == 0;
}

}  // namespace whyslow
