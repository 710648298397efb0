// Lists of address ranges: .debug_ranges of DWARF 2 to 4 and .debug_rnglists of DWARF 5.
#pragma once

#include <cstdint>
#include <vector>

#include "symbolizer/dwarf/dwarf_sections.h"
#include "symbolizer/dwarf/dwarf_unit.h"

namespace whyslow {

struct AddressRange {
  uint64_t begin = 0;
  uint64_t end = 0;  // one past the last byte

  bool Contains(uint64_t address) const { return begin <= address && address < end; }
};

// Appends the ranges that DW_AT_ranges `value` of an entry of `unit` names. Empty and dead ones
// (the linker writes -1 or -2 for code it dropped) are left out.
void ReadRanges(const DwarfUnit& unit, AttributeValue value, WorkBudget& budget,
                std::vector<AddressRange>& out);

}  // namespace whyslow
