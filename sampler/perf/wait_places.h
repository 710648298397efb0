// Where one thread was seen to wait, to be lent to waits of which nothing was seen. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "sampler/event.h"

namespace whyslow {

// What waits have in common that are added up.
struct WaitPlace {
  WaitStackId stack = kNoWaitStack;
  OffCpu why = OffCpu::kBlocked;
  bool uninterruptible = false;
  bool for_device = false;
  int32_t system_call = -1;
  std::shared_ptr<const WaitObject> object;

  bool operator==(const WaitPlace&) const = default;
  template <class H>
  friend H AbslHashValue(H hash, const WaitPlace& place) {
    return H::combine(std::move(hash), place.stack, static_cast<int>(place.why),
                      place.uninterruptible, place.for_device, place.system_call,
                      place.object.get());
  }
};

// A thread that waits 9 ms for its disk and 1 ms for a lock is met at the disk nine times out of
// ten, however often it does either. So a wait borrows from those that took about as long: among
// them what was seen is in proportion to what was.
class WaitPlaces {
 public:
  // At any spot.
  static constexpr uint64_t kAnySpot = 0;

  // `spot`: see StopStacks.
  void Add(const WaitPlace& place, uint64_t spot, uint64_t nanos);
  // Each place in proportion, of those at this spot. Null: nothing was seen there yet. Valid until
  // the next Add.
  const WaitPlace* Lend(uint64_t nanos, uint64_t spot = kAnySpot);
  // The stack seen most in this system call; kNoWaitStack: none.
  WaitStackId StackIn(int32_t system_call) const;

 private:
  static constexpr size_t kLengths = 16;
  struct Row {
    WaitPlace place;
    uint64_t spot = 0;
    std::array<uint32_t, kLengths> seen{};
    std::array<uint32_t, kLengths> lent{};
    uint64_t total = 0;  // times seen
  };

  static size_t LengthOf(uint64_t nanos);
  // The length nearest to this one at which something was seen.
  size_t NearestLength(size_t wanted, uint64_t spot) const;

  std::vector<Row> rows_;
};

}  // namespace whyslow
