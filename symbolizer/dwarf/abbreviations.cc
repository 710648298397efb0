#include "symbolizer/dwarf/abbreviations.h"

#include "symbolizer/dwarf/dwarf_constants.h"

namespace whyslow {
namespace {

using namespace dwarf;  // NOLINT(google-build-using-namespace): the standard's numbers

EntryRole RoleOf(uint64_t tag) {
  switch (tag) {
    case kTagSubprogram:
      return EntryRole::kFunction;
    case kTagInlinedSubroutine:
      return EntryRole::kInlined;
    case kTagLexicalBlock:
    case kTagNamespace:
    case kTagModule:
    case kTagCommonBlock:
    case kTagWithStatement:
    case kTagCatchBlock:
    case kTagTryBlock:
    case kTagCompileUnit:
    case kTagPartialUnit:
    case kTagSkeletonUnit:
      return EntryRole::kScope;
    case kTagClassType:
    case kTagStructureType:
    case kTagUnionType:
    case kTagInterfaceType:
      return EntryRole::kType;
    default:
      return EntryRole::kOther;
  }
}

SkipStep StepOf(uint16_t form, DwarfFormat format) {
  if (const std::optional<uint32_t> size = FixedSizeOf(form, format)) {
    return {SkipStep::Kind::kBytes, *size};
  }
  switch (form) {
    case kFormString:
      return {SkipStep::Kind::kText, 0};
    case kFormBlock1:
      return {SkipStep::Kind::kBlock1, 0};
    case kFormBlock2:
      return {SkipStep::Kind::kBlock2, 0};
    case kFormBlock4:
      return {SkipStep::Kind::kBlock4, 0};
    case kFormBlock:
    case kFormExprloc:
      return {SkipStep::Kind::kBlockLeb, 0};
    case kFormSdata:
    case kFormUdata:
    case kFormRefUdata:
    case kFormStrx:
    case kFormAddrx:
    case kFormLoclistx:
    case kFormRnglistx:
    case kFormGnuAddrIndex:
    case kFormGnuStrIndex:
      return {SkipStep::Kind::kLeb, 0};
    default:
      return {SkipStep::Kind::kForm, form};
  }
}

void TakeStep(ByteReader& reader, SkipStep step, DwarfFormat format) {
  switch (step.kind) {
    case SkipStep::Kind::kBytes:
      return reader.Skip(step.amount);
    case SkipStep::Kind::kLeb:
      return reader.SkipLeb();
    case SkipStep::Kind::kText:
      reader.CString();
      return;
    case SkipStep::Kind::kBlock1:
      return reader.Skip(reader.U8());
    case SkipStep::Kind::kBlock2:
      return reader.Skip(reader.U16());
    case SkipStep::Kind::kBlock4:
      return reader.Skip(reader.U32());
    case SkipStep::Kind::kBlockLeb:
      return reader.Skip(reader.Uleb());
    case SkipStep::Kind::kForm:
      return SkipForm(reader, static_cast<uint16_t>(step.amount), format);
  }
}

}  // namespace

std::optional<uint32_t> FixedSizeOf(uint16_t form, DwarfFormat format) {
  switch (form) {
    case kFormFlagPresent:
    case kFormImplicitConst:
      return 0;
    case kFormData1:
    case kFormRef1:
    case kFormFlag:
    case kFormStrx1:
    case kFormAddrx1:
      return 1;
    case kFormData2:
    case kFormRef2:
    case kFormStrx2:
    case kFormAddrx2:
      return 2;
    case kFormStrx3:
    case kFormAddrx3:
      return 3;
    case kFormData4:
    case kFormRef4:
    case kFormStrx4:
    case kFormAddrx4:
    case kFormRefSup4:
      return 4;
    case kFormData8:
    case kFormRef8:
    case kFormRefSig8:
    case kFormRefSup8:
      return 8;
    case kFormData16:
      return 16;
    case kFormAddr:
      return format.address_size;
    case kFormRefAddr:
      return format.version <= 2 ? format.address_size : format.offset_size;
    case kFormStrp:
    case kFormLineStrp:
    case kFormSecOffset:
    case kFormStrpSup:
    case kFormGnuRefAlt:
    case kFormGnuStrpAlt:
      return format.offset_size;
    default:
      return std::nullopt;
  }
}

void SkipForm(ByteReader& reader, uint16_t form, DwarfFormat format) {
  // DW_FORM_indirect may name itself; a reader that advances each time cannot loop for ever.
  while (form == kFormIndirect && reader.ok()) {
    const uint64_t actual = reader.Uleb();
    form = actual <= 0xFFFF ? static_cast<uint16_t>(actual) : 0;
    if (form == kFormImplicitConst) {
      return reader.Fail();
    }
  }
  const SkipStep step = StepOf(form, format);
  if (step.kind == SkipStep::Kind::kForm) {
    return reader.Fail();
  }
  TakeStep(reader, step, format);
}

void SkipAttributes(ByteReader& reader, const AbbreviationTable& table, const Abbreviation& row,
                    DwarfFormat format) {
  for (const SkipStep step : table.StepsOf(row)) {
    TakeStep(reader, step, format);
  }
}

bool AbbreviationTable::ParseRow(ByteReader& reader, DwarfFormat format) {
  const uint64_t code = reader.Uleb();
  if (code == 0 || !reader.ok()) {
    return false;
  }
  const uint64_t tag = reader.Uleb();
  Abbreviation row{.tag = static_cast<uint16_t>(tag <= 0xFFFF ? tag : 0),
                   .role = RoleOf(tag),
                   .has_children = reader.U8() != 0,
                   .first_attribute = static_cast<uint32_t>(attributes_.size()),
                   .first_step = static_cast<uint32_t>(steps_.size())};
  while (reader.ok()) {
    const uint64_t name = reader.Uleb();
    const uint64_t form = reader.Uleb();
    if (name == 0 && form == 0) {
      break;
    }
    AttributeSpec spec{.name = static_cast<uint16_t>(name <= 0xFFFF ? name : 0),
                       .form = static_cast<uint16_t>(form <= 0xFFFF ? form : 0)};
    if (form == kFormImplicitConst) {
      spec.implicit_value = reader.Sleb();
    }
    row.has_sibling |= name == kAtSibling;
    row.has_code |= name == kAtLowPc || name == kAtRanges;
    row.has_origin |= name == kAtAbstractOrigin;
    row.is_declaration |= name == kAtDeclaration;
    attributes_.push_back(spec);
    const SkipStep step = StepOf(spec.form, format);
    if (step.kind == SkipStep::Kind::kBytes && steps_.size() > row.first_step &&
        steps_.back().kind == SkipStep::Kind::kBytes) {
      steps_.back().amount += step.amount;
    } else {
      steps_.push_back(step);
    }
  }
  row.attribute_count = static_cast<uint32_t>(attributes_.size()) - row.first_attribute;
  row.step_count = static_cast<uint32_t>(steps_.size()) - row.first_step;
  if (!reader.ok()) {
    return false;
  }
  if (code == rows_.size() + 1 && dense_ == rows_.size()) {
    ++dense_;
  } else {
    sparse_.try_emplace(code, static_cast<uint32_t>(rows_.size()));
  }
  rows_.push_back(row);
  last_code_ = code;
  return true;
}

AbbreviationTable AbbreviationTable::Parse(std::span<const std::byte> section, uint64_t offset,
                                           DwarfFormat format) {
  // No row has this code, so that the whole table is read.
  return ParseUntil(section, offset, format, /*wanted_code=*/0);
}

AbbreviationTable AbbreviationTable::ParseUntil(std::span<const std::byte> section, uint64_t offset,
                                                DwarfFormat format, uint64_t wanted_code) {
  AbbreviationTable table;
  ByteReader reader(section, offset);
  while (table.ParseRow(reader, format) && table.last_code_ != wanted_code) {
  }
  table.bytes_read_ = reader.position() > offset ? reader.position() - offset : 0;
  return table;
}

const Abbreviation* AbbreviationTable::FindSparse(uint64_t code) const {
  const auto found = sparse_.find(code);
  return found == sparse_.end() ? nullptr : &rows_[found->second];
}

}  // namespace whyslow
