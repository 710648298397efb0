#include "symbolizer/jit_map.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

namespace whyslow {
namespace {

constexpr size_t kMaxName = 4096;

struct JitLine {
  uint64_t start = 0;
  uint64_t size = 0;
  std::string_view name;
};

std::optional<uint64_t> TakeHex(std::string_view& text) {
  if (text.starts_with("0x")) {
    text.remove_prefix(2);
  }
  uint64_t value = 0;
  const auto [after, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  const auto used = static_cast<size_t>(after - text.data());
  if (error != std::errc() || used == text.size() || text[used] != ' ') {
    return std::nullopt;
  }
  text.remove_prefix(used + 1);
  return value;
}

std::optional<JitLine> ParseLine(std::string_view line) {
  const std::optional<uint64_t> start = TakeHex(line);
  const std::optional<uint64_t> size = start ? TakeHex(line) : std::nullopt;
  if (!size || *size == 0 || line.empty()) {
    return std::nullopt;
  }
  if (line.ends_with('\r')) {
    line.remove_suffix(1);
  }
  return JitLine{.start = *start, .size = *size, .name = line.substr(0, kMaxName)};
}

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

}  // namespace

void FindJitNames(std::string_view map, std::span<const uint64_t> wanted,
                  std::span<std::string> names) {
  OpenPositions open(wanted.size());
  // Backwards, so that the first line to claim an address is the one that holds.
  while (!map.empty()) {
    const size_t newline = map.rfind('\n', map.size() - 1);
    const size_t begin = newline == std::string_view::npos ? 0 : newline + 1;
    const std::optional<JitLine> line = ParseLine(map.substr(begin));
    map = map.substr(0, newline == std::string_view::npos ? 0 : newline);
    if (!line) {
      continue;
    }
    const auto first = std::ranges::lower_bound(wanted, line->start);
    size_t i = open.From(static_cast<size_t>(first - wanted.begin()));
    for (; i < wanted.size() && wanted[i] - line->start < line->size; i = open.From(i)) {
      names[i] = std::string(line->name);
      open.Close(i);
    }
  }
}

}  // namespace whyslow
