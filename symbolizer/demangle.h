// Readable names for the symbols of C++ and Rust. The symbols may be hostile.
#pragma once

#include <string>

namespace whyslow {

// Itanium C++, Rust (both schemes); anything else, and what is damaged, too long or would grow
// beyond reason, comes back as it is. Thread-safe.
std::string Demangle(const std::string& symbol);

}  // namespace whyslow
