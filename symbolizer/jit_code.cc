#include "symbolizer/jit_code.h"

#include <algorithm>

namespace whyslow {
namespace {

// Which positions are still to be named; finds the next one at once, however many are done.
class OpenPositions {
 public:
  explicit OpenPositions(size_t count) : next_(count + 1) {
    for (size_t i = 0; i <= count; ++i) {
      next_[i] = i;
    }
  }
  size_t From(size_t position) {
    while (next_[position] != position) {
      next_[position] = next_[next_[position]];
      position = next_[position];
    }
    return position;
  }
  void Close(size_t position) { next_[position] = position + 1; }

 private:
  std::vector<size_t> next_;  // itself: open; else some position after it
};

JitHit HitIn(const JitCode& code, uint64_t address) {
  JitHit hit{.name = std::string(code.name)};
  if (code.lines == nullptr) {
    return hit;
  }
  const auto after =
      std::ranges::upper_bound(*code.lines, address - code.moved, {}, &JitLine::address);
  if (after != code.lines->begin()) {
    const JitLine& line = *std::prev(after);
    hit.file = line.file;
    hit.line = line.line;
  }
  return hit;
}

}  // namespace

std::vector<JitHit> FindJitCode(std::span<const JitCode> code, std::span<const uint64_t> wanted) {
  std::vector<JitHit> hits(wanted.size());
  OpenPositions open(wanted.size());
  // Backwards, so that the first piece to claim an address is the one that holds.
  for (auto at = code.rbegin(); at != code.rend(); ++at) {
    const JitCode& piece = *at;
    const auto first = std::ranges::lower_bound(wanted, piece.start);
    size_t i = open.From(static_cast<size_t>(first - wanted.begin()));
    for (; i < wanted.size() && wanted[i] - piece.start < piece.size; i = open.From(i)) {
      hits[i] = HitIn(piece, wanted[i]);
      open.Close(i);
    }
  }
  return hits;
}

}  // namespace whyslow
