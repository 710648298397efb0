#include "exporters/shown_value.h"

#include <algorithm>
#include <numeric>

namespace whyslow {
namespace {

// Rounds towards minus infinity, so that the remainder is never negative.
int64_t FloorOf(int64_t value, int64_t divisor) {
  return value / divisor - (value % divisor < 0 ? 1 : 0);
}

}  // namespace

ShownValue ShownValueOf(const Profile& profile) {
  ShownValue shown;
  if (profile.value_types.empty()) {
    return shown;
  }
  shown.column = profile.DefaultValueColumn();
  if (profile.Text(profile.default_sample_type) == "cpu") {
    shown.column = profile.FindValueType("cpu_samples").value_or(shown.column);
  }
  const ValueType& type = profile.value_types[shown.column];
  shown.type = profile.Text(type.type);
  shown.unit = profile.Text(type.unit);
  shown.divisor = shown.unit == "nanoseconds" ? 1000 : 1;
  return shown;
}

std::vector<int64_t> DivideKeepingTheSum(std::span<const int64_t> values, int64_t divisor) {
  std::vector<int64_t> out;
  std::vector<int64_t> remainders;
  int64_t sum_of_remainders = 0;
  for (const int64_t value : values) {
    out.push_back(FloorOf(value, divisor));
    remainders.push_back(value - out.back() * divisor);
    sum_of_remainders += remainders.back();
  }
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return remainders[a] > remainders[b]; });
  const auto missing = static_cast<size_t>((sum_of_remainders + divisor / 2) / divisor);
  for (size_t i = 0; i < missing; ++i) {
    ++out[order[i]];
  }
  return out;
}

}  // namespace whyslow
