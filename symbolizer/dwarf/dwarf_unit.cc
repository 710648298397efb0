#include "symbolizer/dwarf/dwarf_unit.h"

#include "symbolizer/dwarf/dwarf_constants.h"

namespace whyslow {
namespace {

using namespace dwarf;  // NOLINT(google-build-using-namespace): the standard's numbers
using Kind = AttributeValue::Kind;

AttributeValue ReadReference(ByteReader& reader, uint16_t form, DwarfFormat format,
                             uint64_t unit_offset) {
  switch (form) {
    case kFormRefAddr:
      return {Kind::kReference,
              reader.Unsigned(format.version <= 2 ? format.address_size : format.offset_size)};
    case kFormRef1:
      return {Kind::kReference, unit_offset + reader.U8()};
    case kFormRef2:
      return {Kind::kReference, unit_offset + reader.U16()};
    case kFormRef4:
      return {Kind::kReference, unit_offset + reader.U32()};
    case kFormRef8:
      return {Kind::kReference, unit_offset + reader.U64()};
    case kFormRefUdata:
      return {Kind::kReference, unit_offset + reader.Uleb()};
    case kFormGnuRefAlt:
      return {Kind::kAltReference, reader.Unsigned(format.offset_size)};
    case kFormRefSup4:
      return {Kind::kAltReference, reader.U32()};
    case kFormRefSup8:
      return {Kind::kAltReference, reader.U64()};
    default:
      SkipForm(reader, form, format);
      return {};
  }
}

AttributeValue ReadText(ByteReader& reader, uint16_t form, DwarfFormat format) {
  switch (form) {
    case kFormString: {
      const uint64_t at = reader.position();
      reader.CString();
      return {Kind::kTextInline, at};
    }
    case kFormStrp:
      return {Kind::kTextOffset, reader.Unsigned(format.offset_size)};
    case kFormLineStrp:
      return {Kind::kLineText, reader.Unsigned(format.offset_size)};
    case kFormGnuStrpAlt:
    case kFormStrpSup:
      return {Kind::kAltText, reader.Unsigned(format.offset_size)};
    case kFormStrx:
    case kFormGnuStrIndex:
      return {Kind::kTextIndex, reader.Uleb()};
    default:
      return {Kind::kTextIndex, reader.Unsigned(form - kFormStrx1 + 1U)};
  }
}

AttributeValue ReadNumber(ByteReader& reader, const AttributeSpec& spec, DwarfFormat format) {
  switch (spec.form) {
    case kFormData1:
      return {Kind::kConstant, reader.U8()};
    case kFormData2:
      return {Kind::kConstant, reader.U16()};
    case kFormData4:
      return {Kind::kConstant, reader.U32()};
    case kFormData8:
      return {Kind::kConstant, reader.U64()};
    case kFormUdata:
      return {Kind::kConstant, reader.Uleb()};
    case kFormSdata:
      return {Kind::kConstant, static_cast<uint64_t>(reader.Sleb())};
    case kFormImplicitConst:
      return {Kind::kConstant, static_cast<uint64_t>(spec.implicit_value)};
    case kFormFlag:
      return {Kind::kFlag, reader.U8()};
    case kFormFlagPresent:
      return {Kind::kFlag, 1};
    default:
      return {Kind::kSectionOffset, reader.Unsigned(format.offset_size)};
  }
}

AttributeValue ReadAddress(ByteReader& reader, uint16_t form, DwarfFormat format) {
  switch (form) {
    case kFormAddr:
      return {Kind::kAddress, reader.Unsigned(format.address_size)};
    case kFormAddrx:
    case kFormGnuAddrIndex:
      return {Kind::kAddressIndex, reader.Uleb()};
    default:
      return {Kind::kAddressIndex, reader.Unsigned(form - kFormAddrx1 + 1U)};
  }
}

}  // namespace

AttributeValue ReadForm(ByteReader& reader, const AttributeSpec& spec, DwarfFormat format,
                        uint64_t unit_offset) {
  switch (spec.form) {
    case kFormAddr:
    case kFormAddrx:
    case kFormAddrx1:
    case kFormAddrx2:
    case kFormAddrx3:
    case kFormAddrx4:
    case kFormGnuAddrIndex:
      return ReadAddress(reader, spec.form, format);
    case kFormString:
    case kFormStrp:
    case kFormLineStrp:
    case kFormGnuStrpAlt:
    case kFormStrpSup:
    case kFormStrx:
    case kFormStrx1:
    case kFormStrx2:
    case kFormStrx3:
    case kFormStrx4:
    case kFormGnuStrIndex:
      return ReadText(reader, spec.form, format);
    case kFormData1:
    case kFormData2:
    case kFormData4:
    case kFormData8:
    case kFormUdata:
    case kFormSdata:
    case kFormImplicitConst:
    case kFormFlag:
    case kFormFlagPresent:
    case kFormSecOffset:
      return ReadNumber(reader, spec, format);
    case kFormRnglistx:
      return {Kind::kRangeListIndex, reader.Uleb()};
    case kFormIndirect: {
      const uint64_t actual = reader.Uleb();
      if (actual == kFormIndirect || actual == kFormImplicitConst || actual > 0xFFFF) {
        reader.Fail();
        return {};
      }
      return ReadForm(reader, {spec.name, static_cast<uint16_t>(actual), 0}, format, unit_offset);
    }
    default:
      return ReadReference(reader, spec.form, format, unit_offset);
  }
}

std::optional<DwarfUnit> ReadUnitHeader(const DwarfSections& sections, uint64_t offset) {
  ByteReader reader(sections.info.bytes(), offset);
  DwarfUnit unit{.sections = &sections, .offset = offset, .address_sections = &sections};
  uint64_t length = reader.U32();
  unit.format.offset_size = 4;
  if (length == 0xFFFFFFFF) {
    length = reader.U64();
    unit.format.offset_size = 8;
  } else if (length >= 0xFFFFFFF0) {
    return std::nullopt;
  }
  if (!reader.ok() || length == 0 || length > reader.remaining()) {
    return std::nullopt;
  }
  unit.end = reader.position() + length;
  unit.format.version = reader.U16();
  if (unit.format.version >= 5) {
    unit.type = reader.U8();
    unit.format.address_size = reader.U8();
    unit.abbrev_offset = reader.Unsigned(unit.format.offset_size);
    if (unit.type == kUnitSkeleton || unit.type == kUnitSplitCompile) {
      unit.dwo_id = reader.U64();
    } else if (unit.type == kUnitType || unit.type == kUnitSplitType) {
      reader.Skip(uint64_t{8} + unit.format.offset_size);
    }
  } else {
    unit.type = kUnitCompile;
    unit.abbrev_offset = reader.Unsigned(unit.format.offset_size);
    unit.format.address_size = reader.U8();
  }
  unit.entries = reader.position();
  if (!reader.ok() || unit.entries > unit.end) {
    unit.entries = unit.end;  // damaged, but the next unit can still be found
  }
  return unit;
}

namespace {

void TakeRootAttribute(DwarfUnit& unit, uint16_t name, AttributeValue value,
                       AttributeValue& low_pc) {
  switch (name) {
    case kAtName:
      unit.name = value;
      break;
    case kAtCompDir:
      unit.comp_dir = value;
      break;
    case kAtLanguage:
      unit.language = static_cast<uint16_t>(value.value);
      break;
    case kAtStmtList:
      unit.line_offset = value.value;
      break;
    case kAtLowPc:
      low_pc = value;
      break;
    case kAtHighPc:
      unit.high_pc = value;
      break;
    case kAtRanges:
      unit.ranges = value;
      break;
    case kAtStrOffsetsBase:
      unit.str_offsets_base = value.value;
      break;
    case kAtAddrBase:
    case kAtGnuAddrBase:
      unit.addr_base = value.value;
      break;
    case kAtRnglistsBase:
      unit.rnglists_base = value.value;
      break;
    case kAtGnuRangesBase:
      unit.split_ranges_base = value.value;
      break;
    case kAtDwoName:
    case kAtGnuDwoName:
      unit.dwo_name = value;
      break;
    case kAtGnuDwoId:
      unit.dwo_id = value.value;
      break;
    default:
      break;
  }
}

}  // namespace

bool DwarfUnit::ReadRoot() {
  const unsigned size = format.address_size;
  if (format.version < 2 || format.version > 5 || (size != 4 && size != 8) || entries >= end) {
    return false;
  }
  ByteReader reader = ReaderAt(entries);
  const uint64_t code = reader.Uleb();
  if (code == 0) {
    return false;
  }
  const AbbreviationTable table =
      AbbreviationTable::ParseUntil(sections->abbrev.bytes(), abbrev_offset, format, code);
  const Abbreviation* row = table.Find(code);
  if (row == nullptr) {
    return false;
  }
  AttributeValue low_pc;
  for (const AttributeSpec& spec : table.AttributesOf(*row)) {
    TakeRootAttribute(*this, spec.name, ReadForm(reader, spec, format, offset), low_pc);
  }
  if (const std::optional<uint64_t> address = Address(low_pc)) {
    base_address = *address;
    has_low_pc = true;
  }
  return reader.ok();
}

ByteReader DwarfUnit::ReaderAt(uint64_t position) const {
  ByteReader reader(sections->info.bytes(), position);
  reader.EndAt(end);
  return reader;
}

std::string_view DwarfUnit::Text(AttributeValue value) const {
  switch (value.kind) {
    case Kind::kTextInline:
      return TextAt(sections->info.bytes(), value.value);
    case Kind::kTextOffset:
      return TextAt(sections->str.bytes(), value.value);
    case Kind::kLineText:
      return TextAt(sections->line_str.bytes(), value.value);
    case Kind::kAltText:
      return alt_sections != nullptr ? TextAt(alt_sections->str.bytes(), value.value)
                                     : std::string_view();
    case Kind::kTextIndex: {
      if (value.value > sections->str_offsets.size()) {
        return {};
      }
      ByteReader reader(sections->str_offsets.bytes(),
                        str_offsets_base + value.value * format.offset_size);
      const uint64_t at = reader.Unsigned(format.offset_size);
      return reader.ok() ? TextAt(sections->str.bytes(), at) : std::string_view();
    }
    default:
      return {};
  }
}

std::optional<uint64_t> DwarfUnit::AddressByIndex(uint64_t index) const {
  const std::span<const std::byte> table = address_sections->addr.bytes();
  if (index > table.size()) {
    return std::nullopt;
  }
  ByteReader reader(table, addr_base + index * format.address_size);
  const uint64_t address = reader.Unsigned(format.address_size);
  return reader.ok() ? std::optional(address) : std::nullopt;
}

std::optional<uint64_t> DwarfUnit::Address(AttributeValue value) const {
  if (value.kind == Kind::kAddress) {
    return value.value;
  }
  return value.kind == Kind::kAddressIndex ? AddressByIndex(value.value) : std::nullopt;
}

std::optional<uint64_t> DwarfUnit::EndOf(uint64_t low, AttributeValue high) const {
  if (high.is_number()) {
    return low + high.value;
  }
  return Address(high);
}

}  // namespace whyslow
