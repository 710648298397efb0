#include "sampler/perf/wait_places.h"

#include <algorithm>
#include <bit>

namespace whyslow {
namespace {

constexpr size_t kMostRows = 16;

}  // namespace

size_t WaitPlaces::LengthOf(uint64_t nanos) {
  constexpr size_t kShortest = 9;  // bits of half a microsecond
  const auto bits = static_cast<size_t>(std::bit_width(nanos));
  return bits <= kShortest ? 0 : std::min((bits - kShortest) / 2, kLengths - 1);
}

void WaitPlaces::Add(const WaitPlace& place, uint64_t nanos) {
  auto row = std::ranges::find(rows_, place, &Row::place);
  if (row == rows_.end() && rows_.size() < kMostRows) {
    row = rows_.insert(rows_.end(), Row{.place = place});
  } else if (row == rows_.end()) {
    row = std::ranges::min_element(rows_, {}, &Row::total);
    *row = Row{.place = place};
  }
  ++row->seen[LengthOf(nanos)];
  ++row->total;
}

size_t WaitPlaces::NearestLength(size_t wanted) const {
  const auto distance = [wanted](size_t length) {
    return length < wanted ? wanted - length : length - wanted;
  };
  size_t nearest = 2 * kLengths;
  for (size_t length = 0; length < kLengths; ++length) {
    const bool was_seen =
        std::ranges::any_of(rows_, [length](const Row& row) { return row.seen[length] != 0; });
    if (was_seen && (nearest >= kLengths || distance(length) < distance(nearest))) {
      nearest = length;
    }
  }
  return nearest;
}

const WaitPlace* WaitPlaces::Lend(uint64_t nanos) {
  const size_t length = NearestLength(LengthOf(nanos));
  if (length >= kLengths) {
    return nullptr;
  }
  // Whoever was seen most for each time that it was lent.
  const auto claim = [length](const Row& row) {
    return static_cast<double>(row.seen[length]) / (row.lent[length] + 1.0);
  };
  const auto row = std::ranges::max_element(rows_, {}, claim);
  ++row->lent[length];
  return &row->place;
}

WaitStackId WaitPlaces::StackIn(int32_t system_call) const {
  const Row* most = nullptr;
  for (const Row& row : rows_) {
    if (row.place.system_call == system_call && (most == nullptr || row.total > most->total)) {
      most = &row;
    }
  }
  return most == nullptr ? kNoWaitStack : most->place.stack;
}

}  // namespace whyslow
