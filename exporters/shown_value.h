// Which column of values a picture or a list of stacks shows, and in which unit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "profile/profile.h"

namespace whyslow {

struct ShownValue {
  size_t column = 0;
  // How many of the column's units are one of the shown: 1,000 where nanoseconds become
  // microseconds.
  int64_t divisor = 1;
  std::string type;  // "wall", "cpu_samples"; another tool's own word
  std::string unit;  // of the column: "nanoseconds", "count", "bytes"
};

// wall and other times of ours: microseconds. A CPU profile of ours (default type `cpu`): samples.
// Other tools' profiles: their default column.
ShownValue ShownValueOf(const Profile& profile);

// `values` / divisor as whole numbers whose sum is the rounded sum of the quotients: what is lost
// by rounding down goes to the largest remainders.
std::vector<int64_t> DivideKeepingTheSum(std::span<const int64_t> values, int64_t divisor);

}  // namespace whyslow
