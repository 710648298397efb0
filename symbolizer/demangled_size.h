// How long a C++ name can become before it is printed: substitutions let a hundred bytes stand for
// gigabytes.
#pragma once

#include <cstdint>
#include <string>

namespace whyslow {

// About how long the demangled form of an Itanium symbol ("_Z...") can be at most, where it has
// enough substitutions to matter; 0 when it is no such symbol. Linear in the length of the symbol.
uint64_t DemangledSizeBound(const std::string& symbol);

}  // namespace whyslow
