// MiniDebugInfo: a small ELF file with the full symbol table, packed into a section of a stripped
// one (Fedora and its kin do so).
#pragma once

#include <optional>

#include "elf/elf_file.h"

namespace whyslow {

// The file in .gnu_debugdata; nullopt when there is none or it is damaged.
std::optional<ElfFile> ReadMiniDebugInfo(const ElfFile& elf);

}  // namespace whyslow
