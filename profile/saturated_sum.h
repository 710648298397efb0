// Sums of sample values that stop at the largest number: values of other tools' files can be
// anything, and an overflow of signed numbers would be undefined.
#pragma once

#include <cstdint>
#include <limits>

namespace whyslow {

constexpr int64_t SaturatedSum(int64_t a, int64_t b) {
  int64_t sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) {
    return sum;
  }
  return b < 0 ? std::numeric_limits<int64_t>::min() : std::numeric_limits<int64_t>::max();
}

}  // namespace whyslow
