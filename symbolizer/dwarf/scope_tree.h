// Which functions, types and namespaces an entry stands in. Entries know their children only, so
// this walks down from the unit, past everything that does not hold the entry.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "symbolizer/dwarf/dwarf_sections.h"
#include "symbolizer/dwarf/dwarf_unit.h"

namespace whyslow {

class ScopeTree {
 public:
  // `budget` outlives this.
  explicit ScopeTree(WorkBudget& budget) : budget_(budget) {}

  // The entries around `entry` of a prepared unit that have names, innermost first, without the
  // unit's own. Empty also when `entry` is no function, type, namespace or module itself.
  std::vector<uint64_t> Enclosing(const DwarfUnit& unit, uint64_t entry);

 private:
  // A function, type, namespace or module. `children`: where they begin; 0: it has none.
  struct Scope {
    uint64_t entry = 0;
    uint64_t children = 0;
  };
  // Those that stand in the same one, by offset. What stands in a block counts as standing around
  // it.
  using Level = std::vector<Scope>;

  const Level& LevelAt(const DwarfUnit& unit, uint64_t begin);
  void ReadLevels(const DwarfUnit& unit, uint64_t begin);

  WorkBudget& budget_;
  size_t kept_ = 0;                                                           // scopes in levels_
  absl::flat_hash_map<std::pair<const DwarfUnit*, uint64_t>, Level> levels_;  // by first child
};

}  // namespace whyslow
