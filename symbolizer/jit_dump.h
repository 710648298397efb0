// jitdump: the file in which runtimes (V8, the JVM's agent, LLVM, PHP) tell perf what code they
// made, with source lines.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "symbolizer/jit_code.h"

namespace whyslow {

// In order of time; empty when it is no jitdump of this byte order. A file that is still being
// written, or is damaged, gives what comes before. Texts lie in `dump`.
std::vector<JitCode> ReadJitDump(std::span<const std::byte> dump);

}  // namespace whyslow
