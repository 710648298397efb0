// Where a file says that symbols of known names are.
#pragma once

#include <absl/functional/function_ref.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "elf/elf_file.h"

namespace whyslow {

struct NamedSymbol {
  std::string name;  // without "@VERSION"
  ElfAddress address;
  uint64_t size = 0;  // 0: the table does not say
  bool is_code = false;
};

// The symbols of the section `table` (".dynsym" or ".symtab") that are defined in this file and
// whose names `wanted` takes, in the table's order; at most 4,096. Thread-local ones are left out:
// their values are no addresses. Names longer than 1,024 bytes are never asked about.
std::vector<NamedSymbol> FindSymbolsByName(const ElfFile& elf, std::string_view table,
                                           absl::FunctionRef<bool(std::string_view)> wanted);

}  // namespace whyslow
