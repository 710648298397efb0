// Names of code made at run time, from the map that the program writes to /tmp/perf-PID.map.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace whyslow {

// Fills names[i] for each wanted[i] (sorted runtime addresses) from lines "START SIZE name" (hex).
// Where lines overlap the later one holds: code memory is used again. Lines that are no such line
// are skipped.
void FindJitNames(std::string_view map, std::span<const uint64_t> wanted,
                  std::span<std::string> names);

}  // namespace whyslow
