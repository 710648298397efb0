// Symbols that an attacker chose.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "symbolizer/demangle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string symbol(reinterpret_cast<const char*>(data), size);
  for (const char* prefix : {"", "_Z", "_R"}) {
    if (whyslow::Demangle(prefix + symbol).size() > size_t{32} << 20) {
      std::abort();
    }
  }
  return 0;
}
