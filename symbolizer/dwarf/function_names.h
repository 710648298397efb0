// Names and places of declaration of functions, gathered along the chain concrete entry -> abstract
// entry -> declaration.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "symbolizer/dwarf/scope_tree.h"
#include "symbolizer/dwarf/unit_table.h"

namespace whyslow {

struct FunctionFacts {
  std::string
      linkage_name;  // as the linker knows it; empty for C and where the compiler left it out
  std::string name;  // from the entries alone, with the names around it; for C just the name
  const DwarfUnit* decl_unit = nullptr;  // whose files decl_file counts in
  uint64_t decl_file = 0;
  uint32_t decl_line = 0;
  bool is_c_like = false;  // the name needs no mangling: what the symbol table says is no better
};

class FunctionNames {
 public:
  // `budget` outlives this.
  explicit FunctionNames(WorkBudget& budget) : tree_(budget) {}

  FunctionFacts Describe(const DwarfUnit& unit, uint64_t entry);

 private:
  // The last entry of the chain: the one whose parents name the function's scope.
  struct Chain {
    std::string_view name;
    std::string_view linkage_name;
    const DwarfUnit* decl_unit = nullptr;
    uint64_t decl_file = 0;
    uint32_t decl_line = 0;
    const DwarfUnit* last_unit = nullptr;
    uint64_t last_entry = 0;
  };
  Chain Follow(const DwarfUnit& unit, uint64_t entry) const;
  AttributeValue ReadStep(const DwarfUnit& unit, uint64_t entry, Chain& chain) const;
  std::string Qualified(const Chain& chain, int depth);
  std::string ScopeName(const DwarfUnit& unit, uint64_t entry, int depth);

  ScopeTree tree_;
};

}  // namespace whyslow
