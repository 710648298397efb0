#include "cli/text.h"

#include <absl/strings/str_format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>
#include <vector>

namespace whyslow {
namespace {

constexpr char32_t kInvalid = 0xffffffff;

struct Decoded {
  char32_t code = kInvalid;
  size_t bytes = 1;
};

size_t SequenceLength(uint8_t first) {
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first < 0xe0) return 2;
  if (first >= 0xe0 && first < 0xf0) return 3;
  if (first >= 0xf0 && first < 0xf5) return 4;
  return 0;
}

// One character from the beginning of `text`, which is not empty. Strict: no overlong forms, no
// surrogates.
Decoded DecodeOne(std::string_view text) {
  constexpr std::array<char32_t, 5> kSmallest = {0, 0, 0x80, 0x800, 0x10000};
  constexpr std::array<uint8_t, 5> kFirstMask = {0, 0x7f, 0x1f, 0x0f, 0x07};
  const auto byte_at = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const size_t length = SequenceLength(byte_at(0));
  if (length == 0 || length > text.size()) {
    return {};
  }
  char32_t code = byte_at(0) & kFirstMask[length];
  for (size_t i = 1; i < length; ++i) {
    if ((byte_at(i) & 0xc0) != 0x80) {
      return {};
    }
    code = code << 6 | (byte_at(i) & 0x3fu);
  }
  if (code < kSmallest[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
    return {};
  }
  return {.code = code, .bytes = length};
}

struct Range {
  char32_t first;
  char32_t last;
};

template <size_t N>
bool IsIn(const std::array<Range, N>& ranges, char32_t code) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [&](const Range& range) { return range.first <= code && code <= range.last; });
}

// C0, DEL and C1 controls; line and paragraph separators; marks that change the writing direction.
bool IsUnsafe(char32_t code) {
  constexpr std::array kUnsafe = {Range{0x00, 0x1f},     Range{0x7f, 0x9f},
                                  Range{0x61c, 0x61c},   Range{0x200e, 0x200f},
                                  Range{0x2028, 0x202e}, Range{0x2066, 0x2069}};
  return IsIn(kUnsafe, code);
}

size_t WidthOf(char32_t code) {
  constexpr std::array kZero = {Range{0x300, 0x36f}, Range{0x200b, 0x200d}, Range{0x20d0, 0x20ff},
                                Range{0xfe00, 0xfe0f}, Range{0xfe20, 0xfe2f}};
  constexpr std::array kWide = {
      Range{0x1100, 0x115f},   Range{0x2e80, 0x303e},  Range{0x3041, 0x33ff},
      Range{0x3400, 0x4dbf},   Range{0x4e00, 0x9fff},  Range{0xa000, 0xa4cf},
      Range{0xac00, 0xd7a3},   Range{0xf900, 0xfaff},  Range{0xfe30, 0xfe4f},
      Range{0xff00, 0xff60},   Range{0xffe0, 0xffe6},  Range{0x1f300, 0x1f64f},
      Range{0x1f900, 0x1f9ff}, Range{0x20000, 0x3fffd}};
  if (IsIn(kZero, code)) {
    return 0;
  }
  return IsIn(kWide, code) ? 2 : 1;
}

struct Character {
  std::string_view bytes;
  size_t width;
};

std::vector<Character> Split(std::string_view text) {
  std::vector<Character> characters;
  while (!text.empty()) {
    const Decoded decoded = DecodeOne(text);
    characters.push_back({text.substr(0, decoded.bytes), WidthOf(decoded.code)});
    text.remove_prefix(decoded.bytes);
  }
  return characters;
}

}  // namespace

std::string Printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Decoded decoded = DecodeOne(text);
    if (decoded.code == kInvalid) {
      out += "\xef\xbf\xbd";
    } else if (!IsUnsafe(decoded.code)) {
      out += text.substr(0, decoded.bytes);
    } else if (decoded.code == '\t' || decoded.code == '\n') {
      out += ' ';
    } else if (decoded.code <= 0xff) {
      out += absl::StrFormat("\\x%02x", static_cast<uint32_t>(decoded.code));
    } else {
      out += absl::StrFormat("\\u%04x", static_cast<uint32_t>(decoded.code));
    }
    text.remove_prefix(decoded.bytes);
  }
  return out;
}

size_t DisplayWidth(std::string_view printable) {
  size_t width = 0;
  while (!printable.empty()) {
    const Decoded decoded = DecodeOne(printable);
    width += WidthOf(decoded.code);
    printable.remove_prefix(decoded.bytes);
  }
  return width;
}

std::string CutMiddle(const std::string& printable, size_t width) {
  constexpr std::string_view kGap = "...";
  if (DisplayWidth(printable) <= width) {
    return printable;
  }
  if (width <= kGap.size()) {
    return std::string(kGap.substr(0, width));
  }
  const size_t room = width - kGap.size();
  const std::vector<Character> characters = Split(printable);
  std::string front;
  size_t used = 0;
  for (const Character& character : characters) {
    if (used + character.width > (room + 1) / 2) {
      break;
    }
    front += character.bytes;
    used += character.width;
  }
  auto back = characters.end();
  while (back != characters.begin() && used + std::prev(back)->width <= room) {
    --back;
    used += back->width;
  }
  std::string cut = front;
  cut += kGap;
  for (; back != characters.end(); ++back) {
    cut += back->bytes;
  }
  return cut;
}

}  // namespace whyslow
