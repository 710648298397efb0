// When threads that stop are sampled, and when not: it costs a busy target microseconds at each
// switch. Pure.
#pragma once

#include <cstdint>

namespace whyslow {

// While there are few switches, always. Else for one round of reading out of several, the fewer the
// more there are: 20,000 samples a second on the average, at most 50 rounds apart. (A longer period
// instead would reach only the events of threads that were there at the attach: those that threads
// inherit cannot be given another one, but they can be stopped.)
class StopDuty {
 public:
  // `switches` since the last round, which took `seconds`. Says if stops are sampled in the next.
  bool NextRound(uint64_t switches, double seconds);

 private:
  uint32_t Pause();

  double rate_ = 0;    // switches a second, of late
  uint32_t left_ = 0;  // rounds of the pause
  uint32_t random_ = 1;
};

}  // namespace whyslow
