// Names from the symbol tables of an ELF file: what is left when there is no debug information.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "elf/elf_file.h"

namespace whyslow {

struct SymbolHit {
  std::string name;  // as the linker knows it, without "@VERSION"; empty: none covers the address
  uint64_t start = 0;
};

// Fills hits[i] for each wanted[i] (sorted) that has none yet, from the section `table` (".symtab"
// or
// ".dynsym"). A symbol covers [value, value + size); one without a size all up to the next symbol
// or the end of its section.
void FindSymbols(const ElfFile& elf, std::string_view table, std::span<const uint64_t> wanted,
                 std::span<SymbolHit> hits);

}  // namespace whyslow
