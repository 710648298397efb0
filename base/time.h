// The one clock of the project: CLOCK_MONOTONIC, the clock that the kernel's events are stamped
// with.
#pragma once

#include <time.h>

#include <chrono>
#include <cstdint>

namespace whyslow {

using Nanoseconds = std::chrono::nanoseconds;

struct MonotonicClock {
  using duration = Nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<MonotonicClock>;
  static constexpr bool is_steady = true;

  static time_point now() {
    timespec value{};
    clock_gettime(CLOCK_MONOTONIC, &value);
    return time_point(std::chrono::seconds(value.tv_sec) + Nanoseconds(value.tv_nsec));
  }
};

using Instant = MonotonicClock::time_point;

// From a kernel time stamp: nanoseconds of CLOCK_MONOTONIC.
constexpr Instant InstantFromNanos(uint64_t nanos) {
  return Instant(Nanoseconds(static_cast<int64_t>(nanos)));
}

}  // namespace whyslow
