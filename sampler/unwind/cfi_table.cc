#include "sampler/unwind/cfi_table.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/byte_reader.h"
#include "sampler/unwind/rule_interner.h"

namespace whyslow {
namespace {

// Beyond this no real section goes; a compressed one could.
constexpr uint64_t kMaxSectionBytes = uint64_t{1} << 30;

// Bytes that a source borrows from.
struct LoadedSection {
  SectionBytes bytes;
  CfiSource source;
};

std::optional<ElfAddress> DataBaseOf(const ElfFile& elf) {
  for (const std::string_view name : {".got.plt", ".got"}) {
    if (const ElfSection* got = elf.FindSection(name)) {
      return got->address;
    }
  }
  return std::nullopt;
}

std::optional<LoadedSection> LoadSection(const ElfFile& elf, std::string_view name,
                                         CfiFormat format) {
  const ElfSection* section = elf.FindSection(name);
  if (section == nullptr || section->size == 0 || section->size > kMaxSectionBytes) {
    return std::nullopt;
  }
  absl::StatusOr<SectionBytes> bytes = elf.ReadSection(*section);
  if (!bytes.ok() || bytes->size() > kMaxSectionBytes) {
    return std::nullopt;
  }
  LoadedSection loaded{.bytes = *std::move(bytes)};
  loaded.source = {.format = format,
                   .bytes = loaded.bytes.bytes(),
                   .address = section->address,
                   .data_base = DataBaseOf(elf)};
  return loaded;
}

const ElfSegment* FindSegment(const ElfFile& elf, uint32_t type) {
  const auto found =
      std::ranges::find_if(elf.segments(), [type](const ElfSegment& s) { return s.type == type; });
  return found == elf.segments().end() ? nullptr : &*found;
}

// The program header leads to the index, and the index begins with a pointer to .eh_frame. The
// index itself is not needed (and not there in every file).
std::optional<LoadedSection> LoadByProgramHeader(const ElfFile& elf) {
  const ElfSegment* index = FindSegment(elf, PT_GNU_EH_FRAME);
  constexpr size_t kHeaderBytes = 12;
  if (index == nullptr || index->file_size < kHeaderBytes) {
    return std::nullopt;
  }
  const absl::StatusOr<std::string> header = elf.ReadBytes(index->file_offset, kHeaderBytes);
  if (!header.ok()) {
    return std::nullopt;
  }
  ByteReader cursor(std::as_bytes(std::span(header->data(), header->size())));
  const uint8_t version = cursor.U8();
  const uint8_t encoding = cursor.U8();
  cursor.Skip(2);  // how the index is encoded
  const std::optional<uint64_t> start =
      ReadEncodedPointer(cursor, encoding, index->address, index->address);
  if (version != 1 || !start) {
    return std::nullopt;
  }
  for (const ElfSegment& segment : elf.segments()) {
    const uint64_t skip = *start - segment.address.value();
    if (segment.type != PT_LOAD || *start < segment.address.value() || skip >= segment.file_size ||
        segment.file_size - skip > kMaxSectionBytes) {
      continue;
    }
    absl::StatusOr<std::string> bytes =
        elf.ReadBytes(segment.file_offset + skip, segment.file_size - skip);
    if (!bytes.ok()) {
      return std::nullopt;
    }
    LoadedSection loaded{.bytes = SectionBytes(*std::move(bytes))};
    loaded.source = {.format = CfiFormat::kEhFrame,
                     .address = ElfAddress(*start),
                     .data_base = DataBaseOf(elf),
                     .ends_at_zero_record = true};
    return loaded;
  }
  return std::nullopt;
}

// By address; what begins at the same place as one before it, or inside of one from an earlier
// source, is dropped; a neighbour that reaches into the next one is cut when rows are made.
void SortAndTrim(std::vector<CfiFunction>& functions) {
  const auto key = [](const CfiFunction& f) { return std::pair(f.start, f.source); };
  if (!std::ranges::is_sorted(functions, {}, key)) {
    std::ranges::stable_sort(functions, {}, key);
  }
  size_t kept = 0;
  for (const CfiFunction& next : functions) {
    if (kept > 0) {
      const CfiFunction& last = functions[kept - 1];
      if (next.start == last.start || (next.start < last.end() && next.source > last.source)) {
        continue;
      }
    }
    functions[kept++] = next;
  }
  functions.resize(kept);
}

}  // namespace

CfiTable CfiTable::FromElf(const ElfFile& elf) {
  std::vector<LoadedSection> sections;
  const auto keep = [&sections](std::optional<LoadedSection> section) {
    const bool is_there = section.has_value();
    if (is_there) {
      sections.push_back(*std::move(section));
    }
    return is_there;
  };
  if (!keep(LoadSection(elf, ".eh_frame", CfiFormat::kEhFrame))) {
    keep(LoadByProgramHeader(elf));
  }
  if (!keep(LoadSection(elf, ".debug_frame", CfiFormat::kDebugFrame))) {
    keep(LoadSection(elf, ".zdebug_frame", CfiFormat::kDebugFrame));
  }
  std::vector<CfiSource> sources;
  for (LoadedSection& section : sections) {
    // Set here: a moved string that is short has moved its bytes too.
    section.source.bytes = section.bytes.bytes();
    sources.push_back(section.source);
  }
  uint64_t start = std::numeric_limits<uint64_t>::max();
  uint64_t end = 0;
  for (const ElfSegment& segment : elf.segments()) {
    if (segment.executable()) {
      start = std::min(start, segment.address.value());
      end = std::max(end, segment.address.value() + segment.memory_size);
    }
  }
  const Architecture architecture =
      elf.machine() == EM_AARCH64 ? Architecture::kArm64 : Architecture::kX86_64;
  return FromSources(sources, architecture, ElfAddress(start), ElfAddress(end));
}

CfiTable CfiTable::FromSources(std::span<const CfiSource> sources, Architecture architecture,
                               ElfAddress start, ElfAddress end) {
  CfiTable table;
  RuleInterner interner(table.rules_);
  table.base_ = start.value();
  const uint64_t limit = std::min(end.value(), table.base_ + std::numeric_limits<uint32_t>::max());
  std::vector<CfiCommon> commons;
  std::vector<CfiFunction> functions;
  uint32_t source_number = 0;
  for (const CfiSource& source : sources) {
    CfiRecords records = ParseCfi(source);
    for (CfiFunction& function : records.functions) {
      // Linkers leave the records of dropped functions behind, at address 0 or nearby.
      if (function.start >= table.base_ && function.start < limit) {
        function.common += static_cast<uint32_t>(commons.size());
        function.source = source_number;
        functions.push_back(function);
      }
    }
    commons.insert(commons.end(), records.commons.begin(), records.commons.end());
    ++source_number;
  }
  SortAndTrim(functions);
  std::vector<std::optional<CfiState>> initial;
  initial.reserve(commons.size());
  for (const CfiCommon& common : commons) {
    initial.push_back(RunCommonCfi(common, architecture, interner));
  }
  uint64_t covered = table.base_;  // rows are made up to here
  for (size_t i = 0; i < functions.size(); ++i) {
    const CfiFunction& function = functions[i];
    if (!initial[function.common]) {
      continue;
    }
    const auto offset = static_cast<uint32_t>(function.start - table.base_);
    if (function.start > covered && !table.rows_.empty() && table.rows_.back().rule != 0) {
      table.rows_.push_back({static_cast<uint32_t>(covered - table.base_), 0});
    } else if (table.rows_.empty() && offset != 0) {
      table.rows_.push_back({0, 0});
    }
    const uint64_t next = i + 1 < functions.size() ? functions[i + 1].start : limit;
    RunFunctionCfi(function,
                   sources[function.source].bytes.subspan(function.instructions_at,
                                                          function.instructions_size),
                   commons[function.common], *initial[function.common], table.base_,
                   std::min(limit, next), interner, table.rows_);
    covered = std::min({function.end(), limit, next});
  }
  table.rows_.push_back({static_cast<uint32_t>(covered - table.base_), 0});
  return table;
}

CfiTable CfiTable::FromParts(ElfAddress base, std::vector<CfiRow> rows, RuleSet rules) {
  CfiTable table;
  table.base_ = base.value();
  table.rows_ = std::move(rows);
  table.rules_ = std::move(rules);
  return table;
}

const UnwindRule& CfiTable::Find(ElfAddress address) const {
  const uint64_t offset = address.value() - base_;
  if (offset > std::numeric_limits<uint32_t>::max()) {
    return rules_.rules[0];
  }
  const auto after =
      std::ranges::upper_bound(rows_, static_cast<uint32_t>(offset), {}, &CfiRow::pc);
  return rules_.rules[after == rows_.begin() ? 0 : std::prev(after)->rule];
}

}  // namespace whyslow
