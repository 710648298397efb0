// Burns 50, 30 and 20 % of its CPU time in three functions, at every moment of its life.
// Usage: split_50_30_20 [SECONDS]. Ends with a line TRUTH NAME=NANOSECONDS ...
#include <cstdio>

#include "target_support.h"

namespace {

using targets::BurnUntilCpu;
using targets::ThreadCpuNanos;

struct Part {
  const char* name;
  double share;
  int64_t (*burn)(int64_t until);
  int64_t spent = 0;
};

}  // namespace

// Not folded into one function: each mixes in a constant of its own.
extern "C" {
__attribute__((noinline)) int64_t burn_fifty(int64_t until) {
  targets::sink ^= 50;
  return BurnUntilCpu(until);
}
__attribute__((noinline)) int64_t burn_thirty(int64_t until) {
  targets::sink ^= 30;
  return BurnUntilCpu(until);
}
__attribute__((noinline)) int64_t burn_twenty(int64_t until) {
  targets::sink ^= 20;
  return BurnUntilCpu(until);
}
}

namespace {

// The part that lags most behind its share goes next. Slices of 50 to 306 microseconds, drawn at
// random: a fixed length could run in step with the sampler's clock.
__attribute__((noinline)) void BurnOneSlice(Part* parts, int64_t total) {
  Part* next = &parts[0];
  double worst = -1e18;
  for (Part* part = parts; part != parts + 3; ++part) {
    const double lag = part->share * static_cast<double>(total) - static_cast<double>(part->spent);
    if (lag > worst) {
      worst = lag;
      next = part;
    }
  }
  const int64_t before = ThreadCpuNanos();
  const int64_t slice = 50'000 + static_cast<int64_t>(targets::sink & 255) * 1'000;
  next->spent += next->burn(before + slice) - before;
}

}  // namespace

int main(int argc, char** argv) {
  const double seconds = targets::NumberArgument(argc, argv, 1, 30);
  targets::EndBySignalAfter(seconds);
  Part parts[] = {{"burn_fifty", 0.5, burn_fifty},
                  {"burn_thirty", 0.3, burn_thirty},
                  {"burn_twenty", 0.2, burn_twenty}};
  targets::SayReady();
  const int64_t end = targets::WallNanos() + targets::SecondsToNanos(seconds);
  while (targets::WallNanos() < end) {
    BurnOneSlice(parts, parts[0].spent + parts[1].spent + parts[2].spent);
  }
  std::printf("TRUTH");
  for (const Part& part : parts) {
    std::printf(" %s=%lld", part.name, static_cast<long long>(part.spent));
  }
  std::printf("\n");
  return 0;
}
