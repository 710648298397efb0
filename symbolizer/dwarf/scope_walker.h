// Finds, in one walk over a unit, the function and the inlined functions that hold each wanted
// address.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "symbolizer/dwarf/code_ranges.h"
#include "symbolizer/dwarf/dwarf_unit.h"
#include "symbolizer/dwarf/range_list.h"

namespace whyslow {

// One function that holds an address.
struct CodeScope {
  const DwarfUnit* unit = nullptr;
  uint64_t entry = 0;      // offset of the entry in .debug_info
  AttributeValue origin;   // of inlined functions: the entry that all copies of it share
  uint32_t depth = 0;      // 0: the function itself; 1 and more: inlined into the one before
  uint64_t call_file = 0;  // of inlined functions: where the call stood
  uint32_t call_line = 0;
  uint32_t call_column = 0;
  uint64_t range_size = 0;  // of the range that holds the address
};

// Appends to scopes[i] what holds wanted[i], outermost first. `wanted` is sorted. Where two
// functions claim an address the one with the smaller range has it (else the first).
void WalkScopes(const DwarfUnit& unit, std::span<const uint64_t> wanted, const CodeRanges& code,
                WorkBudget& budget, std::span<std::vector<CodeScope>> scopes);

}  // namespace whyslow
