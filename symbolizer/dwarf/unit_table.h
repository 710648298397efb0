// All units of one file of debug information, found by offset, each read when it is first needed.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <memory>
#include <tuple>
#include <vector>

#include "symbolizer/dwarf/dwarf_sections.h"
#include "symbolizer/dwarf/dwarf_unit.h"

namespace whyslow {

class UnitTable {
 public:
  // Reads the headers only. `sections`, `budget` and `alt` (the file that dwz moved common entries
  // to, or nullptr) outlive the table.
  UnitTable(const DwarfSections& sections, WorkBudget& budget, UnitTable* alt);
  UnitTable(const UnitTable&) = delete;
  UnitTable& operator=(const UnitTable&) = delete;

  const DwarfSections& sections() const { return sections_; }
  std::vector<DwarfUnit>& units() { return units_; }

  // The unit that holds this offset of .debug_info, prepared; nullptr when there is none.
  DwarfUnit* Find(uint64_t offset);

  // Reads the first entry and the abbreviations; false when the unit cannot be used.
  bool Prepare(DwarfUnit& unit);
  bool ReadRoot(DwarfUnit& unit);

 private:
  using AbbreviationKey = std::tuple<uint64_t, uint16_t, uint8_t, uint8_t>;

  const DwarfSections& sections_;
  WorkBudget& budget_;
  std::vector<DwarfUnit> units_;  // by offset; never resized once made, so that pointers hold
  absl::flat_hash_map<AbbreviationKey, std::shared_ptr<const AbbreviationTable>> abbreviations_;
};

}  // namespace whyslow
