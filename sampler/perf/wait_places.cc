#include "sampler/perf/wait_places.h"

#include <algorithm>
#include <bit>

namespace whyslow {
namespace {

constexpr size_t kMostRows = 16;

bool IsAt(uint64_t spot, uint64_t wanted) {
  return wanted == WaitPlaces::kAnySpot || spot == wanted;
}

}  // namespace

size_t WaitPlaces::LengthOf(uint64_t nanos) {
  constexpr size_t kShortest = 9;  // bits of half a microsecond
  const auto bits = static_cast<size_t>(std::bit_width(nanos));
  return bits <= kShortest ? 0 : std::min((bits - kShortest) / 2, kLengths - 1);
}

void WaitPlaces::Add(const WaitPlace& place, uint64_t spot, uint64_t nanos) {
  auto row = std::ranges::find_if(
      rows_, [&](const Row& each) { return each.spot == spot && each.place == place; });
  if (row == rows_.end() && rows_.size() < kMostRows) {
    row = rows_.insert(rows_.end(), Row{.place = place, .spot = spot});
  } else if (row == rows_.end()) {
    row = std::ranges::min_element(rows_, {}, &Row::total);
    *row = Row{.place = place, .spot = spot};
  }
  ++row->seen[LengthOf(nanos)];
  ++row->total;
}

size_t WaitPlaces::NearestLength(size_t wanted, uint64_t spot) const {
  const auto distance = [wanted](size_t length) {
    return length < wanted ? wanted - length : length - wanted;
  };
  size_t nearest = 2 * kLengths;
  for (size_t length = 0; length < kLengths; ++length) {
    const bool was_seen = std::ranges::any_of(
        rows_, [&](const Row& row) { return IsAt(row.spot, spot) && row.seen[length] != 0; });
    if (was_seen && (nearest >= kLengths || distance(length) < distance(nearest))) {
      nearest = length;
    }
  }
  return nearest;
}

const WaitPlace* WaitPlaces::Lend(uint64_t nanos, uint64_t spot) {
  const size_t length = NearestLength(LengthOf(nanos), spot);
  if (length >= kLengths) {
    return nullptr;
  }
  // Whoever was seen most for each time that it was lent.
  const auto claim = [&](const Row& row) {
    const double seen = IsAt(row.spot, spot) ? row.seen[length] : 0.0;
    return seen / (row.lent[length] + 1.0);
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
