// One unit of debug information (most often: one source file as compiled) and how to read the
// values of its entries.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "base/byte_reader.h"
#include "symbolizer/dwarf/abbreviations.h"
#include "symbolizer/dwarf/dwarf_sections.h"

namespace whyslow {

// A value as it stands in the entry; strings and addresses are looked up only when they are wanted.
struct AttributeValue {
  enum class Kind : uint8_t {
    kNone,
    kConstant,
    kAddress,
    kAddressIndex,
    kSectionOffset,
    kRangeListIndex,
    kTextInline,    // offset in the section that holds the entry itself
    kTextOffset,    // .debug_str
    kLineText,      // .debug_line_str
    kTextIndex,     // .debug_str_offsets
    kAltText,       // .debug_str of the shared (dwz) file
    kReference,     // offset in .debug_info
    kAltReference,  // offset in .debug_info of the shared (dwz) file
    kFlag,
  };
  Kind kind = Kind::kNone;
  uint64_t value = 0;

  explicit operator bool() const { return kind != Kind::kNone; }
  bool is_number() const {
    return kind == Kind::kConstant || kind == Kind::kSectionOffset || kind == Kind::kFlag;
  }
};

// Reads one value. `unit_offset` is where references within the unit count from.
AttributeValue ReadForm(ByteReader& reader, const AttributeSpec& spec, DwarfFormat format,
                        uint64_t unit_offset);

class UnitTable;

struct DwarfUnit {
  const DwarfSections* sections = nullptr;
  uint64_t offset = 0;  // of the header in .debug_info
  uint64_t end = 0;
  uint64_t entries = 0;  // of the first entry
  uint64_t abbrev_offset = 0;
  DwarfFormat format;
  uint8_t type = 0;

  // From the first entry, by ReadRoot.
  uint16_t language = 0;
  uint64_t str_offsets_base = 0;
  uint64_t addr_base = 0;
  uint64_t rnglists_base = 0;
  uint64_t split_ranges_base = 0;  // DW_AT_GNU_ranges_base: holds for the split unit
  uint64_t ranges_base = 0;        // of a split unit of DWARF 4
  uint64_t base_address = 0;       // DW_AT_low_pc: range lists count from it
  AttributeValue high_pc;
  AttributeValue ranges;
  bool has_low_pc = false;
  AttributeValue name;
  AttributeValue comp_dir;
  AttributeValue dwo_name;
  uint64_t dwo_id = 0;
  std::optional<uint64_t> line_offset;  // DW_AT_stmt_list
  // Where addresses by index and, of split units, the range lists of version 4 lie: the program's
  // own file.
  const DwarfSections* address_sections = nullptr;
  // The file that dwz moved common strings and entries to.
  const DwarfSections* alt_sections = nullptr;
  // Where references beyond this unit lead.
  UnitTable* unit_table = nullptr;
  UnitTable* alt_table = nullptr;

  // Filled by UnitTable::Prepare when the unit is walked or referred to.
  bool root_is_read = false;
  std::shared_ptr<const AbbreviationTable> abbreviations;

  // Reads the attributes of the first entry; false when it is damaged.
  bool ReadRoot();

  ByteReader ReaderAt(uint64_t position) const;
  std::string_view Text(AttributeValue value) const;
  std::optional<uint64_t> Address(AttributeValue value) const;
  // The end of [low, end) from DW_AT_high_pc, an address or a size.
  std::optional<uint64_t> EndOf(uint64_t low, AttributeValue high) const;
  std::optional<uint64_t> AddressByIndex(uint64_t index) const;
};

// Reads the header at `offset` of the .debug_info section; nullopt at its end or where it breaks.
std::optional<DwarfUnit> ReadUnitHeader(const DwarfSections& sections, uint64_t offset);

}  // namespace whyslow
