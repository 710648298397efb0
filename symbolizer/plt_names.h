// Names for the stubs that calls into other libraries go through.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "elf/elf_file.h"

namespace whyslow {

// Fills names[i] with "name@plt" for each wanted[i] that lies in a stub of .plt, .plt.sec or
// .plt.got. Each stub is decoded for the slot that it jumps through, so that the layouts of all
// linkers do. x86-64 and ARM64.
void FindPltNames(const ElfFile& elf, std::span<const uint64_t> wanted,
                  std::span<std::string> names);

}  // namespace whyslow
