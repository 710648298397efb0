#include "symbolizer/dwarf/code_ranges.h"

namespace whyslow {

CodeRanges::CodeRanges(const ElfFile& elf) {
  for (const ElfSection& section : elf.sections()) {
    if ((section.flags & SHF_EXECINSTR) != 0 && (section.flags & SHF_ALLOC) != 0) {
      const uint64_t begin = section.address.value();
      ranges_.push_back({begin, begin + section.size});
    }
  }
  if (ranges_.empty()) {
    for (const ElfSegment& segment : elf.segments()) {
      if (segment.executable()) {
        const uint64_t begin = segment.address.value();
        ranges_.push_back({begin, begin + segment.memory_size});
      }
    }
  }
  std::ranges::sort(ranges_, {}, &AddressRange::begin);
}

}  // namespace whyslow
