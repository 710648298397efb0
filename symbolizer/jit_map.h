// The map of generated code that a program writes to /tmp/perf-PID.map.
#pragma once

#include <string_view>
#include <vector>

#include "symbolizer/jit_code.h"

namespace whyslow {

// Lines "START SIZE name" (hex), in order. Lines that are no such line are skipped. The names lie
// in `map`.
std::vector<JitCode> ReadJitMap(std::string_view map);

}  // namespace whyslow
