// Names and lines out of the table that every Go program carries for its own tracebacks, stripped
// or not: .gopclntab.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "elf/elf_file.h"

namespace whyslow {

struct GoHit {
  std::string name;  // empty: none covers the address
  std::string file;
  int64_t line = 0;
  int64_t start_line = 0;  // 0: written by Go before 1.20
};

// One hit for each of `wanted` (sorted ELF addresses); all empty where the file has no such table,
// where it is damaged, or of a version before Go 1.18. Inlined calls are not told apart: the name
// is that of the function that holds the code, the line that of the inlined call's body.
std::vector<GoHit> FindGoFunctions(const ElfFile& elf, std::span<const uint64_t> wanted);

}  // namespace whyslow
