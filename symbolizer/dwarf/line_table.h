// The line program of one unit: which source line each instruction came from.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "symbolizer/dwarf/code_ranges.h"
#include "symbolizer/dwarf/dwarf_unit.h"

namespace whyslow {

struct LineRow {
  bool found = false;
  uint64_t file = 0;  // for LineTable::Path
  uint32_t line = 0;  // 0: the compiler's own code, from no line
  uint32_t column = 0;
};

class LineTable {
 public:
  // Reads the header of DWARF 2 to 5; nullopt when the unit has no program or it is damaged. The
  // sections of `unit` must outlive the table.
  static std::optional<LineTable> Parse(const DwarfUnit& unit, WorkBudget& budget);

  // Runs the program once and fills rows[i] for every wanted[i] (sorted) that it covers and that is
  // not found yet.
  void Resolve(std::span<const uint64_t> wanted, const CodeRanges& code, WorkBudget& budget,
               std::span<LineRow> rows) const;

  // The full path of a file by its number in DWARF; empty when there is no such file.
  std::string Path(uint64_t file) const;

 private:
  struct FileEntry {
    AttributeValue name;
    uint64_t directory = 0;
  };
  class Machine;

  explicit LineTable(const DwarfSections& sections) : sections_(&sections) {}
  bool ParseHeader(const DwarfUnit& unit, WorkBudget& budget);
  bool ParseOldFiles(ByteReader& reader, WorkBudget& budget);
  bool ParseEntries(ByteReader& reader, WorkBudget& budget, std::vector<FileEntry>& out) const;
  std::string_view Text(AttributeValue value) const;
  std::string Directory(uint64_t index) const;

  const DwarfSections* sections_;
  DwarfUnit names_;  // how indexed strings are found
  std::string_view comp_dir_;
  DwarfFormat format_;
  uint8_t min_instruction_ = 1;
  int8_t line_base_ = 0;
  uint8_t line_range_ = 1;
  uint8_t opcode_base_ = 1;
  std::vector<uint8_t> operand_counts_;  // of opcode i + 1
  std::vector<FileEntry> directories_;
  std::vector<FileEntry> files_;
  uint64_t program_begin_ = 0;
  uint64_t program_end_ = 0;
};

// "/a/./b/../c//d" -> "/a/c/d". By text alone: a link in the path is not looked at.
std::string NormalizePath(std::string_view path);

}  // namespace whyslow
