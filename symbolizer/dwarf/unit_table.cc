#include "symbolizer/dwarf/unit_table.h"

#include <algorithm>
#include <utility>

namespace whyslow {

UnitTable::UnitTable(const DwarfSections& sections, WorkBudget& budget, UnitTable* alt)
    : sections_(sections), budget_(budget) {
  uint64_t offset = 0;
  uint64_t in_memory = 0;
  while (std::optional<DwarfUnit> unit = ReadUnitHeader(sections, offset)) {
    offset = unit->end;
    unit->unit_table = this;
    unit->alt_table = alt;
    unit->alt_sections = alt != nullptr ? &alt->sections() : nullptr;
    in_memory += std::min(unit->end - unit->offset, kMappedAtOnce);
    if (in_memory > kKeptBytes) {
      sections.ForgetPages();
      in_memory = 0;
    }
    units_.push_back(*std::move(unit));
  }
}

bool UnitTable::ReadRoot(DwarfUnit& unit) {
  if (!unit.root_is_read) {
    unit.root_is_read = true;
    if (!budget_.Spend(64) || !unit.ReadRoot()) {
      unit.entries = unit.end;  // nothing in it can be trusted
    }
  }
  return unit.entries < unit.end;
}

bool UnitTable::Prepare(DwarfUnit& unit) {
  if (!ReadRoot(unit)) {
    return false;
  }
  if (unit.abbreviations == nullptr) {
    std::shared_ptr<const AbbreviationTable>& shared =
        abbreviations_[{unit.abbrev_offset, unit.format.version, unit.format.address_size,
                        unit.format.offset_size}];
    if (shared == nullptr) {
      shared = std::make_shared<const AbbreviationTable>(
          AbbreviationTable::Parse(sections_.abbrev.bytes(), unit.abbrev_offset, unit.format));
      budget_.Spend(shared->bytes_read() * 8);
    }
    unit.abbreviations = shared;
  }
  return true;
}

DwarfUnit* UnitTable::Find(uint64_t offset) {
  const auto after = std::ranges::upper_bound(units_, offset, {}, &DwarfUnit::offset);
  if (after == units_.begin()) {
    return nullptr;
  }
  DwarfUnit& unit = *std::prev(after);
  const bool holds = offset < unit.end && Prepare(unit) && offset >= unit.entries;
  return holds ? &unit : nullptr;
}

}  // namespace whyslow
