#include "symbolizer/dwarf/split_units.h"

#include <utility>
#include <vector>

#include "base/unique_fd.h"
#include "symbolizer/dwarf/dwarf_constants.h"

namespace whyslow {
namespace {

// Section numbers in the index of a package; 8 is something else before DWARF 5.
constexpr uint32_t kIndexInfo = 1;
constexpr uint32_t kIndexAbbrev = 3;
constexpr uint32_t kIndexStrOffsets = 6;
constexpr uint32_t kIndexRnglists = 8;
constexpr uint32_t kMaxIndexSections = 16;

std::optional<ElfFile> OpenElf(const std::string& path, const RootFolder* root) {
  absl::StatusOr<UniqueFd> fd = OpenReadOnlyIn(root, path, /*regular_only=*/true);
  if (!fd.ok() && root != nullptr) {
    // Programs are often built outside the container that they run in.
    fd = OpenReadOnly(path, /*regular_only=*/true);
  }
  if (!fd.ok()) {
    return std::nullopt;
  }
  absl::StatusOr<ElfFile> elf = ElfFile::Open(*std::move(fd), path);
  return elf.ok() ? std::optional(*std::move(elf)) : std::nullopt;
}

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string(".") : path.substr(0, slash);
}

}  // namespace

DwarfUnit* SplitUnits::Find(const DwarfUnit& skeleton) {
  DwarfUnit* unit = FindInPackage(skeleton);
  return unit != nullptr ? unit : FindInOwnFile(skeleton);
}

SplitUnits::SplitFile* SplitUnits::Open(const std::string& path) {
  const auto [row, is_new] = files_.try_emplace(path);
  if (!is_new) {
    return row->second.get();
  }
  const std::optional<ElfFile> elf = OpenElf(path, root_);
  if (!elf) {
    return nullptr;
  }
  auto file = std::make_unique<SplitFile>();
  file->sections = DwarfSections::Load(*elf, ".dwo");
  if (const ElfSection* index = elf->FindSection(".debug_cu_index")) {
    absl::StatusOr<SectionBytes> bytes = elf->ReadSection(*index);
    if (bytes.ok()) {
      file->index = *std::move(bytes);
    }
  }
  budget_.Grow(file->sections.total_bytes());
  file->units = std::make_unique<UnitTable>(file->sections, budget_, /*alt=*/nullptr);
  row->second = std::move(file);
  return row->second.get();
}

DwarfUnit* SplitUnits::FindInPackage(const DwarfUnit& skeleton) {
  SplitFile* package = Open(program_ + ".dwp");
  if (package == nullptr || !package->index) {
    return nullptr;
  }
  const std::optional<Contribution> at = FindInIndex(*package->index, skeleton.dwo_id);
  if (!at) {
    return nullptr;
  }
  for (DwarfUnit& unit : package->units->units()) {
    if (unit.offset == at->info) {
      return Adopt(*package->units, unit, skeleton, *at);
    }
  }
  return nullptr;
}

DwarfUnit* SplitUnits::FindInOwnFile(const DwarfUnit& skeleton) {
  const std::string name(skeleton.Text(skeleton.dwo_name));
  if (name.empty()) {
    return nullptr;
  }
  const std::string folder(skeleton.Text(skeleton.comp_dir));
  std::vector<std::string> candidates{name.starts_with('/') ? name : folder + "/" + name};
  // A program that was moved together with its .dwo files.
  candidates.push_back(FolderOf(program_) + "/" + name.substr(name.rfind('/') + 1));
  for (const std::string& candidate : candidates) {
    SplitFile* file = candidate.starts_with('/') ? Open(candidate) : nullptr;
    if (file == nullptr || file->index) {
      continue;
    }
    for (DwarfUnit& unit : file->units->units()) {
      if (unit.type != dwarf::kUnitCompile && unit.type != dwarf::kUnitSplitCompile) {
        continue;
      }
      DwarfUnit* adopted = Adopt(*file->units, unit, skeleton, {});
      if (adopted != nullptr) {
        return adopted;
      }
    }
  }
  return nullptr;
}

// The index is a hash table; units are few enough to look through it from the start.
std::optional<SplitUnits::Contribution> SplitUnits::FindInIndex(const SectionBytes& index,
                                                                uint64_t id) {
  ByteReader reader(index.bytes());
  const uint32_t version = reader.U32() & 0xFFFF;  // 2 (GNU) as 32 bits, 5 as 16 and padding
  const uint32_t columns = reader.U32();
  const uint32_t units = reader.U32();
  const uint64_t slots = reader.U32();
  if (!reader.ok() || columns == 0 || columns > kMaxIndexSections ||
      slots * 12 > reader.remaining()) {
    return std::nullopt;
  }
  const uint64_t ids = reader.position();
  uint32_t row = 0;
  for (uint64_t slot = 0; slot < slots && row == 0; ++slot) {
    if (ByteReader(index.bytes(), ids + slot * 8).U64() == id) {
      row = ByteReader(index.bytes(), ids + slots * 8 + slot * 4).U32();
    }
  }
  if (row == 0 || row > units) {
    return std::nullopt;
  }
  const uint64_t names = ids + slots * 12;
  ByteReader name_reader(index.bytes(), names);
  ByteReader offsets(index.bytes(), names + uint64_t{4} * columns * row);
  Contribution at;
  for (uint32_t column = 0; column < columns; ++column) {
    const uint32_t name = name_reader.U32();
    const uint32_t offset = offsets.U32();
    if (name == kIndexInfo) {
      at.info = offset;
    } else if (name == kIndexAbbrev) {
      at.abbrev = offset;
    } else if (name == kIndexStrOffsets) {
      at.str_offsets = offset;
    } else if (name == kIndexRnglists && version >= 5) {
      at.rnglists = offset;
    }
  }
  return name_reader.ok() && offsets.ok() ? std::optional(at) : std::nullopt;
}

// Gives the unit what only its skeleton knows. nullptr: it is not the one.
DwarfUnit* SplitUnits::Adopt(UnitTable& table, DwarfUnit& unit, const DwarfUnit& skeleton,
                             const Contribution& at) {
  if (!unit.root_is_read) {
    const bool is_new = unit.format.version >= 5;
    const bool is_64 = unit.format.offset_size == 8;
    unit.abbrev_offset += at.abbrev;
    // The tables begin behind the headers that DWARF 5 gave them.
    unit.str_offsets_base = at.str_offsets + (is_new ? (is_64 ? 16U : 8U) : 0U);
    unit.rnglists_base = at.rnglists + (is_64 ? 20U : 12U);
    unit.address_sections = skeleton.address_sections;
    unit.addr_base = skeleton.addr_base;
    unit.ranges_base = skeleton.split_ranges_base;
    unit.base_address = skeleton.base_address;
  }
  if (!table.Prepare(unit) || unit.dwo_id != skeleton.dwo_id) {
    return nullptr;
  }
  // Line programs stay in the program.
  unit.line_offset = skeleton.line_offset;
  return &unit;
}

}  // namespace whyslow
