// A dump for the terminal and as JSON. Pure.
#pragma once

#include <cstddef>
#include <string>

#include "cli/dump.h"

namespace whyslow {

inline constexpr int kDumpJsonVersion = 1;

struct DumpStyle {
  size_t width = 0;  // of the terminal; 0: nothing is cut
  bool color = false;
};

std::string DumpAsText(const Dump& dump, const DumpStyle& style);
// One object and a newline; docs/json.md tells the fields.
std::string DumpAsJson(const Dump& dump);

// "12.30 s", "4 min 5 s", "2 h 3 min", "5 d 7 h".
std::string DurationText(int64_t nanos);

}  // namespace whyslow
