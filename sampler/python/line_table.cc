#include "sampler/python/line_table.h"

#include <algorithm>

namespace whyslow {
namespace {

int32_t AsLine(int64_t line) {
  return line > 0 && line <= INT32_MAX ? static_cast<int32_t>(line) : 0;
}

// A damaged table must not overflow: what is added stays far below what a 64-bit number holds.
int64_t Clamp(int64_t line) { return std::clamp<int64_t>(line, INT32_MIN, INT32_MAX); }

uint8_t ByteAt(std::string_view bytes, size_t at) { return static_cast<uint8_t>(bytes[at]); }

}  // namespace

PythonLineTable::PythonLineTable(LineTableKind kind, std::string_view bytes, int32_t first_line)
    : first_line_(first_line) {
  switch (kind) {
    case LineTableKind::kDeltas:
      ReadDeltas(bytes);
      break;
    case LineTableKind::kRanges:
      ReadRanges(bytes);
      break;
    case LineTableKind::kLocations:
      ReadLocations(bytes);
      break;
  }
  rows_.shrink_to_fit();
}

void PythonLineTable::Add(uint64_t end, int64_t line) {
  const uint32_t known_end = rows_.empty() ? 0 : rows_.back().end;
  if (end <= known_end || end > UINT32_MAX) {
    return;
  }
  if (!rows_.empty() && rows_.back().line == AsLine(line)) {
    rows_.back().end = static_cast<uint32_t>(end);
  } else {
    rows_.push_back({.end = static_cast<uint32_t>(end), .line = AsLine(line)});
  }
}

// Pairs: so many bytes on, so many lines on. The line holds until the next pair's bytes are passed.
void PythonLineTable::ReadDeltas(std::string_view bytes) {
  uint64_t offset = 0;
  int64_t line = first_line_;
  for (size_t i = 0; i + 1 < bytes.size(); i += 2) {
    offset += ByteAt(bytes, i);
    Add(offset, line);
    line = Clamp(line + static_cast<int8_t>(bytes[i + 1]));
  }
  last_line_ = AsLine(line);
}

// Pairs: a range of so many bytes, whose line is so many on; -128: it has none.
void PythonLineTable::ReadRanges(std::string_view bytes) {
  constexpr int8_t kNoLine = -128;
  uint64_t offset = 0;
  int64_t line = first_line_;
  for (size_t i = 0; i + 1 < bytes.size(); i += 2) {
    offset += ByteAt(bytes, i);
    const auto delta = static_cast<int8_t>(bytes[i + 1]);
    if (delta != kNoLine) {
      line = Clamp(line + delta);
    }
    Add(offset, delta == kNoLine ? 0 : line);
  }
}

// Entries begin with a byte whose highest bit is set: 4 bits kind, 3 bits how many instructions
// less one. Of what follows, which has that bit clear, only the change of the line is wanted.
void PythonLineTable::ReadLocations(std::string_view bytes) {
  constexpr unsigned kOneLine0 = 10;  // the line changes by kind - 10
  constexpr unsigned kOneLine2 = 12;
  constexpr unsigned kNoColumns = 13;  // a signed number follows
  constexpr unsigned kLong = 14;       // likewise, then more
  constexpr unsigned kNoLocation = 15;
  uint64_t offset = 0;
  int64_t line = first_line_;
  size_t at = 0;
  while (at < bytes.size()) {
    const uint8_t head = ByteAt(bytes, at++);
    const unsigned kind = (head >> 3) & 15;
    offset += 2 * ((head & 7) + 1U);
    if (kind >= kOneLine0 && kind <= kOneLine2) {
      line = Clamp(line + (kind - kOneLine0));
    } else if (kind == kNoColumns || kind == kLong) {
      uint64_t number = 0;
      for (unsigned shift = 0; at < bytes.size() && shift < 36; shift += 6) {
        const uint8_t byte = ByteAt(bytes, at++);
        number |= uint64_t{byte & 63U} << shift;
        if ((byte & 64) == 0) {
          break;
        }
      }
      const auto size = static_cast<int64_t>(number >> 1);
      line = Clamp((number & 1) != 0 ? line - size : line + size);
    }
    Add(offset, kind == kNoLocation ? 0 : line);
    while (at < bytes.size() && (ByteAt(bytes, at) & 128) == 0) {
      ++at;
    }
  }
}

int32_t PythonLineTable::LineAt(int64_t offset) const {
  if (offset < 0) {
    return AsLine(first_line_);
  }
  const auto row = std::ranges::upper_bound(
      rows_, offset, [](int64_t wanted, int64_t end) { return wanted < end; },
      [](const Row& candidate) { return int64_t{candidate.end}; });
  return row == rows_.end() ? last_line_ : row->line;
}

}  // namespace whyslow
