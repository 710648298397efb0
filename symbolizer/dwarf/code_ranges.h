// Where the code of a file lies, to tell live debug information from that of code the linker
// dropped.
#pragma once

#include <algorithm>
#include <vector>

#include "elf/elf_file.h"
#include "symbolizer/dwarf/range_list.h"

namespace whyslow {

// Linkers leave the debug information of dropped functions in place with addresses near 0; taken at
// its word it would cover real code of a library that is linked at 0.
class CodeRanges {
 public:
  CodeRanges() = default;
  // From the executable sections, else from the executable segments. Neither: everything is code.
  explicit CodeRanges(const ElfFile& elf);

  bool Contains(uint64_t address) const {
    if (ranges_.empty()) {
      return true;
    }
    const auto after = std::ranges::upper_bound(ranges_, address, {}, &AddressRange::begin);
    return after != ranges_.begin() && std::prev(after)->Contains(address);
  }

 private:
  std::vector<AddressRange> ranges_;  // sorted, not overlapping in honest files
};

}  // namespace whyslow
