// Split DWARF: the program holds a skeleton of each unit, the rest lies in a .dwo file beside the
// object file or, all together, in PROGRAM.dwp.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/root_folder.h"
#include "elf/elf_file.h"
#include "symbolizer/dwarf/dwarf_sections.h"
#include "symbolizer/dwarf/unit_table.h"

namespace whyslow {

class SplitUnits {
 public:
  // `program` is the path of the file that holds the skeletons, in the tree `root` (null: ours),
  // which is asked before ours is. Both references outlive this.
  SplitUnits(std::string program, const RootFolder* root, WorkBudget& budget)
      : program_(std::move(program)), root_(root), budget_(budget) {}

  // The unit that `skeleton` stands for, prepared; nullptr when its file is not there or is of
  // another build.
  DwarfUnit* Find(const DwarfUnit& skeleton);

 private:
  struct SplitFile {
    DwarfSections sections;
    std::unique_ptr<UnitTable> units;
    std::optional<SectionBytes> index;  // .debug_cu_index of a package
  };

  // Where the sections of one unit begin within those of the package.
  struct Contribution {
    uint64_t info = 0;
    uint64_t abbrev = 0;
    uint64_t str_offsets = 0;
    uint64_t rnglists = 0;
  };

  DwarfUnit* FindInPackage(const DwarfUnit& skeleton);
  DwarfUnit* FindInOwnFile(const DwarfUnit& skeleton);
  SplitFile* Open(const std::string& path);
  static std::optional<Contribution> FindInIndex(const SectionBytes& index, uint64_t id);
  static DwarfUnit* Adopt(UnitTable& table, DwarfUnit& unit, const DwarfUnit& skeleton,
                          const Contribution& at);

  std::string program_;
  const RootFolder* root_;
  WorkBudget& budget_;
  std::map<std::string, std::unique_ptr<SplitFile>> files_;  // null: tried in vain
};

}  // namespace whyslow
