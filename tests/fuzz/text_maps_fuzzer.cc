// Perf maps and jitdumps, which the target writes, and kallsyms.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "symbolizer/jit_dump.h"
#include "symbolizer/jit_map.h"
#include "symbolizer/kernel_symbols.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace whyslow;  // NOLINT(google-build-using-namespace): a test
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::vector<uint64_t> wanted{0, 1, 0x10, 0x100, 0x1000, uint64_t{1} << 63, ~uint64_t{0}};
  FindJitCode(ReadJitMap(text), wanted);
  FindJitCode(ReadJitDump(std::as_bytes(std::span(data, size))), wanted);
  std::vector<KernelName> kernel_names(wanted.size());
  FindKernelNames(text, wanted, kernel_names);
  return 0;
}
