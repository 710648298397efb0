// The shapes of debug entries: which attributes follow an entry's code, and how to skip them fast.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/byte_reader.h"

namespace whyslow {

struct DwarfFormat {
  uint16_t version = 0;
  uint8_t address_size = 8;
  uint8_t offset_size = 4;  // 8 in the 64-bit form of DWARF

  bool operator==(const DwarfFormat&) const = default;
};

struct AttributeSpec {
  uint16_t name = 0;
  uint16_t form = 0;
  int64_t implicit_value = 0;  // of DW_FORM_implicit_const
};

// One step over attribute bytes whose values are not wanted. Neighbours of fixed size are one step.
struct SkipStep {
  enum class Kind : uint8_t { kBytes, kLeb, kText, kBlock1, kBlock2, kBlock4, kBlockLeb, kForm };
  Kind kind = Kind::kBytes;
  uint32_t amount = 0;  // bytes; the form where its size is known only when it is read
};

// What a walk over the entries does with one.
enum class EntryRole : uint8_t {
  kOther,     // no code inside: children are skipped when the entry says where they end
  kType,      // may hold functions: always of Rust, of C++ where it is local to a function
  kScope,     // may hold functions: namespaces, blocks
  kFunction,  // a subprogram
  kInlined,   // an inlined subroutine
};

struct Abbreviation {
  uint16_t tag = 0;
  EntryRole role = EntryRole::kOther;
  bool has_children = false;
  bool has_sibling = false;
  bool has_code = false;    // an attribute that says where its code lies
  bool has_origin = false;  // DW_AT_abstract_origin
  bool is_declaration = false;
  uint32_t first_attribute = 0;
  uint32_t attribute_count = 0;
  uint32_t first_step = 0;
  uint32_t step_count = 0;
};

class AbbreviationTable {
 public:
  // Reads the table at `offset` of a .debug_abbrev section. A damaged table ends where it breaks.
  static AbbreviationTable Parse(std::span<const std::byte> section, uint64_t offset,
                                 DwarfFormat format);
  // Reads no more than needed to find one row: enough for the first entry of a unit.
  static AbbreviationTable ParseUntil(std::span<const std::byte> section, uint64_t offset,
                                      DwarfFormat format, uint64_t wanted_code);

  // nullptr: no such code.
  const Abbreviation* Find(uint64_t code) const {
    if (code - 1 < dense_) {
      return &rows_[code - 1];
    }
    return FindSparse(code);
  }
  std::span<const AttributeSpec> AttributesOf(const Abbreviation& row) const {
    return {attributes_.data() + row.first_attribute, row.attribute_count};
  }
  std::span<const SkipStep> StepsOf(const Abbreviation& row) const {
    return {steps_.data() + row.first_step, row.step_count};
  }
  uint64_t bytes_read() const { return bytes_read_; }

 private:
  bool ParseRow(ByteReader& reader, DwarfFormat format);
  const Abbreviation* FindSparse(uint64_t code) const;

  std::vector<Abbreviation> rows_;
  uint64_t dense_ = 0;  // codes 1 to dense_ are rows 0 to dense_ - 1: what every compiler writes
  absl::flat_hash_map<uint64_t, uint32_t> sparse_;
  std::vector<AttributeSpec> attributes_;
  std::vector<SkipStep> steps_;
  uint64_t last_code_ = 0;
  uint64_t bytes_read_ = 0;
};

// The bytes of a form that has a fixed size; nullopt for those that have not.
std::optional<uint32_t> FixedSizeOf(uint16_t form, DwarfFormat format);

// Skips one value of any form; the reader fails for an unknown one.
void SkipForm(ByteReader& reader, uint16_t form, DwarfFormat format);

// Skips all attributes of an entry.
void SkipAttributes(ByteReader& reader, const AbbreviationTable& table, const Abbreviation& row,
                    DwarfFormat format);

}  // namespace whyslow
