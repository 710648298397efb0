// Functions, inlined functions and source lines of one file from its debug information.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "elf/elf_file.h"
#include "symbolizer/dwarf/code_ranges.h"
#include "symbolizer/dwarf/function_names.h"
#include "symbolizer/dwarf/line_table.h"
#include "symbolizer/dwarf/scope_walker.h"
#include "symbolizer/dwarf/split_units.h"
#include "symbolizer/dwarf/unit_table.h"

namespace whyslow {

inline constexpr uint32_t kNoRow = ~uint32_t{0};

// One frame of an address. `function` and `path` are rows of DwarfFile::functions() and paths().
struct DwarfFrame {
  uint32_t function = kNoRow;  // kNoRow: only the line is known (assembly)
  uint32_t path = kNoRow;
  uint32_t line = 0;
  uint32_t column = 0;
};

struct DwarfFunction {
  FunctionFacts facts;
  uint32_t decl_path = kNoRow;
};

// Addresses are resolved in one go: units that hold none of them are not read beyond their first
// entry, the others are walked once. Not thread-safe.
class DwarfFile {
 public:
  // `elf` holds the debug information, `alt` is the file that dwz moved common parts to (or null);
  // neither need outlive the result. `program` is the path of the program: split units lie beside
  // it, in the tree `root` (null: ours), which outlives this.
  DwarfFile(const ElfFile& elf, const ElfFile* alt, std::string program,
            const RootFolder* root = nullptr);

  bool empty() const { return sections_.info.size() == 0; }
  // False: reading the file would have cost more than any honest one does, and was given up.
  bool complete() const { return !budget_.exhausted(); }
  // True when wanted addresses lie in units of which the file has a skeleton only.
  bool has_split_units() const { return has_split_units_; }

  // frames[i]: innermost first, for wanted[i] (sorted, no duplicates); empty when nothing is known.
  void Resolve(std::span<const uint64_t> wanted, std::span<std::vector<DwarfFrame>> frames);

  const std::vector<DwarfFunction>& functions() const { return functions_; }
  const std::vector<std::string>& paths() const { return paths_; }

 private:
  struct Answer {
    std::vector<CodeScope> scopes;
    LineRow row;
    const DwarfUnit* row_unit = nullptr;
  };

  void HaveRead(uint64_t bytes);
  void ForgetPages();
  void ReadAranges();
  void UnitRanges(DwarfUnit& unit, std::vector<AddressRange>& out);
  void ResolveUnit(DwarfUnit& unit, std::span<const uint64_t> wanted,
                   std::span<const size_t> positions, std::span<Answer> answers);
  std::vector<DwarfFrame> FramesOf(const Answer& answer);
  const LineTable* LinesOf(const DwarfUnit& unit);
  uint32_t FunctionOf(const CodeScope& scope);
  static std::pair<const DwarfUnit*, uint64_t> OriginOf(const CodeScope& scope);
  uint32_t PathOf(const DwarfUnit* unit, uint64_t file);

  DwarfSections sections_;
  DwarfSections alt_sections_;
  CodeRanges code_;  // tells live code from dropped code
  WorkBudget budget_;
  UnitTable alt_units_;
  UnitTable units_;
  SplitUnits split_units_;
  bool has_split_units_ = false;
  uint64_t bytes_in_memory_ = 0;  // at most, of the mapped sections
  FunctionNames names_;
  bool aranges_are_read_ = false;
  absl::flat_hash_map<uint64_t, std::vector<AddressRange>> aranges_;  // by the unit's offset
  absl::flat_hash_map<std::pair<const DwarfSections*, uint64_t>, std::unique_ptr<LineTable>> lines_;
  std::vector<DwarfFunction> functions_;
  absl::flat_hash_map<std::pair<const DwarfUnit*, uint64_t>, uint32_t> function_rows_;
  std::vector<std::string> paths_;
  absl::flat_hash_map<std::string, uint32_t> path_rows_;
  absl::flat_hash_map<std::pair<const LineTable*, uint64_t>, uint32_t> file_rows_;
};

}  // namespace whyslow
