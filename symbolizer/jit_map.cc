#include "symbolizer/jit_map.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

namespace whyslow {
namespace {

constexpr size_t kMaxName = 4096;

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

std::optional<JitCode> ParseLine(std::string_view line) {
  const std::optional<uint64_t> start = TakeHex(line);
  const std::optional<uint64_t> size = start ? TakeHex(line) : std::nullopt;
  if (!size || *size == 0 || line.empty()) {
    return std::nullopt;
  }
  if (line.ends_with('\r')) {
    line.remove_suffix(1);
  }
  return JitCode{.start = *start, .size = *size, .name = line.substr(0, kMaxName)};
}

}  // namespace

std::vector<JitCode> ReadJitMap(std::string_view map) {
  std::vector<JitCode> code;
  while (!map.empty()) {
    const size_t end = std::min(map.find('\n'), map.size());
    if (std::optional<JitCode> piece = ParseLine(map.substr(0, end))) {
      code.push_back(*std::move(piece));
    }
    map.remove_prefix(std::min(end + 1, map.size()));
  }
  return code;
}

}  // namespace whyslow
