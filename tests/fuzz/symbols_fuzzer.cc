// Whatever an ELF file and its debug information say: names or none, but no crash and no endless
// work.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "elf/elf_file.h"
#include "symbolizer/dwarf/dwarf_file.h"
#include "symbolizer/elf_symbols.h"
#include "symbolizer/go_functions.h"
#include "symbolizer/mini_debug_info.h"
#include "symbolizer/plt_names.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace whyslow;  // NOLINT(google-build-using-namespace): a test
  const absl::StatusOr<ElfFile> elf =
      ElfFile::FromBytes(std::string(reinterpret_cast<const char*>(data), size), "fuzz");
  if (!elf.ok()) {
    return 0;
  }
  std::vector<uint64_t> wanted{0, 1, 0x1000};
  for (uint64_t address = 0x1010; address < 0x3000; address += 0x21) {
    wanted.push_back(address);
  }
  wanted.push_back(~uint64_t{0});
  std::vector<std::vector<DwarfFrame>> frames(wanted.size());
  DwarfFile(*elf, &*elf, "/nonexistent/program").Resolve(wanted, frames);
  std::vector<SymbolHit> hits(wanted.size());
  FindSymbols(*elf, ".symtab", wanted, hits);
  FindSymbols(*elf, ".dynsym", wanted, hits);
  std::vector<std::string> stubs(wanted.size());
  FindPltNames(*elf, wanted, stubs);
  FindGoFunctions(*elf, wanted);
  ReadMiniDebugInfo(*elf);
  return 0;
}
