#include "symbolizer/dwarf/dwarf_file.h"

#include <algorithm>
#include <tuple>

#include "symbolizer/dwarf/dwarf_constants.h"

namespace whyslow {
namespace {

// What describing one function reads: its entry, the one it refers to, its names, each of which the
// kernel maps with its neighbours.
constexpr uint64_t kBytesOfFunction = uint64_t{4} * 65536;

}  // namespace

DwarfFile::DwarfFile(const ElfFile& elf, const ElfFile* alt, std::string program,
                     const RootFolder* root)
    : sections_(DwarfSections::Load(elf)),
      alt_sections_(alt != nullptr ? DwarfSections::Load(*alt) : DwarfSections()),
      code_(elf),
      budget_(sections_.total_bytes() + alt_sections_.total_bytes()),
      alt_units_(alt_sections_, budget_, /*alt=*/nullptr),
      units_(sections_, budget_, &alt_units_),
      split_units_(std::move(program), root, budget_),
      names_(budget_) {}

void DwarfFile::HaveRead(uint64_t bytes) {
  bytes_in_memory_ += bytes;
  if (bytes_in_memory_ > kKeptBytes) {
    ForgetPages();
  }
}

void DwarfFile::ForgetPages() {
  sections_.ForgetPages();
  alt_sections_.ForgetPages();
  bytes_in_memory_ = 0;
}

// Only units that do not say themselves where their code lies need this section; it is often
// incomplete (clang writes none).
void DwarfFile::ReadAranges() {
  aranges_are_read_ = true;
  const std::span<const std::byte> section = sections_.aranges.bytes();
  uint64_t next = 0;
  while (next < section.size()) {
    ByteReader reader(section, next);
    const uint64_t start = next;
    uint64_t length = reader.U32();
    const unsigned offset_size = length == 0xFFFFFFFF ? 8 : 4;
    length = offset_size == 8 ? reader.U64() : length;
    if (!reader.ok() || length > reader.remaining()) {
      return;
    }
    next = reader.position() + length;
    reader.EndAt(next);
    reader.U16();  // version
    const uint64_t unit = reader.Unsigned(offset_size);
    const unsigned size = reader.U8();
    reader.U8();  // size of segment selectors
    if (!reader.ok() || (size != 4 && size != 8)) {
      continue;
    }
    // The pairs are aligned to their own size, counted from the start of the set.
    const uint64_t header = reader.position() - start;
    reader.Skip((2 * size - header % (2 * size)) % (2 * size));
    while (reader.remaining() >= uint64_t{2} * size) {
      const uint64_t begin = reader.Unsigned(size);
      const uint64_t bytes = reader.Unsigned(size);
      if (bytes != 0 && begin + bytes > begin) {
        aranges_[unit].push_back({begin, begin + bytes});
      }
    }
  }
}

void DwarfFile::UnitRanges(DwarfUnit& unit, std::vector<AddressRange>& out) {
  out.clear();
  if (!units_.ReadRoot(unit)) {
    return;
  }
  if (unit.ranges) {
    ReadRanges(unit, unit.ranges, budget_, out);
  } else if (unit.has_low_pc && unit.high_pc) {
    const std::optional<uint64_t> end = unit.EndOf(unit.base_address, unit.high_pc);
    if (end && unit.base_address < *end) {
      out.push_back({unit.base_address, *end});
    }
  } else if (unit.type == dwarf::kUnitCompile && unit.line_offset) {
    if (!aranges_are_read_) {
      ReadAranges();
    }
    const auto found = aranges_.find(unit.offset);
    if (found != aranges_.end()) {
      out = found->second;
    }
  }
}

void DwarfFile::Resolve(std::span<const uint64_t> wanted,
                        std::span<std::vector<DwarfFrame>> frames) {
  std::vector<Answer> answers(wanted.size());
  std::vector<AddressRange> ranges;
  std::vector<size_t> positions;
  for (DwarfUnit& unit : units_.units()) {
    UnitRanges(unit, ranges);
    HaveRead(std::min(unit.end - unit.offset, kMappedAtOnce));
    positions.clear();
    for (const AddressRange range : ranges) {
      auto at = std::ranges::lower_bound(wanted, range.begin);
      for (; at != wanted.end() && *at < range.end && budget_.Spend(1); ++at) {
        positions.push_back(static_cast<size_t>(at - wanted.begin()));
      }
    }
    if (!positions.empty()) {
      std::ranges::sort(positions);
      positions.erase(std::unique(positions.begin(), positions.end()), positions.end());
      ResolveUnit(unit, wanted, positions, answers);
      HaveRead(unit.end - unit.offset);
    }
  }
  for (size_t i = 0; i < wanted.size(); ++i) {
    frames[i] = FramesOf(answers[i]);
  }
  ForgetPages();  // symbol tables come next, and are large too
}

void DwarfFile::ResolveUnit(DwarfUnit& unit, std::span<const uint64_t> wanted,
                            std::span<const size_t> positions, std::span<Answer> answers) {
  if (!units_.Prepare(unit)) {
    return;
  }
  std::vector<uint64_t> addresses(positions.size());
  std::vector<std::vector<CodeScope>> scopes(positions.size());
  for (size_t i = 0; i < positions.size(); ++i) {
    addresses[i] = wanted[positions[i]];
    scopes[i] = std::move(answers[positions[i]].scopes);
  }
  std::vector<LineRow> rows(positions.size());
  // Also for split units before anything else: only the skeleton knows the folder.
  const LineTable* lines = LinesOf(unit);
  has_split_units_ |= static_cast<bool>(unit.dwo_name);
  const DwarfUnit* split = unit.dwo_name ? split_units_.Find(unit) : nullptr;
  const DwarfUnit& with_code = split != nullptr ? *split : unit;
  WalkScopes(with_code, addresses, code_, budget_, scopes);
  if (lines != nullptr) {
    lines->Resolve(addresses, code_, budget_, rows);
  }
  for (size_t i = 0; i < positions.size(); ++i) {
    Answer& answer = answers[positions[i]];
    answer.scopes = std::move(scopes[i]);
    const bool is_ours = !answer.scopes.empty() && answer.scopes.front().unit == &with_code;
    if (rows[i].found && (is_ours || answer.row_unit == nullptr)) {
      answer.row = rows[i];
      answer.row_unit = &unit;
    }
  }
}

std::vector<DwarfFrame> DwarfFile::FramesOf(const Answer& answer) {
  std::vector<DwarfFrame> frames;
  if (answer.scopes.empty()) {
    if (answer.row.found) {
      frames.push_back({.path = PathOf(answer.row_unit, answer.row.file),
                        .line = answer.row.line,
                        .column = answer.row.column});
    }
    return frames;
  }
  // Where the frame at hand is executing: the row of the address for the innermost function, the
  // place of the call for the ones around it.
  DwarfFrame place;
  if (answer.row.found) {
    place = {.path = PathOf(answer.row_unit, answer.row.file),
             .line = answer.row.line,
             .column = answer.row.column};
  }
  for (size_t i = answer.scopes.size(); i-- > 0;) {
    const CodeScope& scope = answer.scopes[i];
    place.function = FunctionOf(scope);
    frames.push_back(place);
    place = {.path = PathOf(scope.unit, scope.call_file),
             .line = scope.call_line,
             .column = scope.call_column};
  }
  return frames;
}

const LineTable* DwarfFile::LinesOf(const DwarfUnit& unit) {
  if (!unit.line_offset) {
    return nullptr;
  }
  auto [row, is_new] = lines_.try_emplace({unit.address_sections, *unit.line_offset});
  if (is_new) {
    if (std::optional<LineTable> table = LineTable::Parse(unit, budget_)) {
      row->second = std::make_unique<LineTable>(*std::move(table));
    }
  }
  return row->second.get();
}

// The copies of an inlined function share one row, so that each is described and demangled once.
std::pair<const DwarfUnit*, uint64_t> DwarfFile::OriginOf(const CodeScope& scope) {
  const uint64_t origin = scope.origin.value;
  const DwarfUnit* unit = nullptr;
  if (scope.origin.kind == AttributeValue::Kind::kReference) {
    const bool is_own = origin >= scope.unit->entries && origin < scope.unit->end;
    unit = is_own ? scope.unit : scope.unit->unit_table->Find(origin);
  } else if (scope.origin.kind == AttributeValue::Kind::kAltReference &&
             scope.unit->alt_table != nullptr) {
    unit = scope.unit->alt_table->Find(origin);
  }
  return unit != nullptr ? std::pair(unit, origin) : std::pair(scope.unit, scope.entry);
}

uint32_t DwarfFile::FunctionOf(const CodeScope& scope) {
  const auto [unit, entry] = OriginOf(scope);
  auto [row, is_new] = function_rows_.try_emplace({unit, entry}, kNoRow);
  if (is_new) {
    row->second = static_cast<uint32_t>(functions_.size());
    DwarfFunction function{.facts = names_.Describe(*unit, entry)};
    function.decl_path = PathOf(function.facts.decl_unit, function.facts.decl_file);
    HaveRead(kBytesOfFunction);
    functions_.push_back(std::move(function));
  }
  return row->second;
}

uint32_t DwarfFile::PathOf(const DwarfUnit* unit, uint64_t file) {
  const LineTable* lines = unit != nullptr ? LinesOf(*unit) : nullptr;
  if (lines == nullptr) {
    return kNoRow;
  }
  auto [row, is_new] = file_rows_.try_emplace({lines, file}, kNoRow);
  if (is_new) {
    std::string path = lines->Path(file);
    if (!path.empty()) {
      const auto [known, is_new_path] =
          path_rows_.try_emplace(path, static_cast<uint32_t>(paths_.size()));
      if (is_new_path) {
        paths_.push_back(std::move(path));
      }
      row->second = known->second;
    }
  }
  return row->second;
}

}  // namespace whyslow
