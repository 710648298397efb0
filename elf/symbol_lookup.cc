#include "elf/symbol_lookup.h"

#include "base/byte_reader.h"

namespace whyslow {
namespace {

// More symbols than any program has, longer names than any that is looked for.
constexpr size_t kMaxRows = 8'000'000;
constexpr size_t kMaxFound = 4096;
constexpr uint64_t kMaxName = 1024;

bool IsPlace(const Elf64_Sym& row) {
  const uint8_t type = ELF64_ST_TYPE(row.st_info);
  const bool has_address =
      type == STT_FUNC || type == STT_GNU_IFUNC || type == STT_OBJECT || type == STT_NOTYPE;
  return has_address && row.st_shndx != SHN_UNDEF && row.st_shndx != SHN_COMMON;
}

}  // namespace

std::vector<NamedSymbol> FindSymbolsByName(const ElfFile& elf, std::string_view table,
                                           absl::FunctionRef<bool(std::string_view)> wanted) {
  std::vector<NamedSymbol> found;
  const ElfSection* section = elf.FindSection(table);
  if (section == nullptr || section->link >= elf.sections().size()) {
    return found;
  }
  const absl::StatusOr<SectionBytes> rows = elf.ReadSection(*section);
  const absl::StatusOr<SectionBytes> names = elf.ReadSection(elf.sections()[section->link]);
  if (!rows.ok() || !names.ok()) {
    return found;
  }
  ByteReader reader(rows->bytes());
  for (size_t i = 0; i < kMaxRows && reader.remaining() >= sizeof(Elf64_Sym); ++i) {
    const auto row = reader.Fixed<Elf64_Sym>();
    if (!IsPlace(row)) {
      continue;
    }
    std::string_view name = TextAt(names->bytes(), row.st_name, kMaxName);
    name = name.substr(0, name.find('@'));
    if (name.empty() || !wanted(name)) {
      continue;
    }
    const uint8_t type = ELF64_ST_TYPE(row.st_info);
    found.push_back({.name = std::string(name),
                     .address = ElfAddress(row.st_value),
                     .size = row.st_size,
                     .is_code = type == STT_FUNC || type == STT_GNU_IFUNC});
    if (found.size() == kMaxFound) {
      break;
    }
  }
  return found;
}

}  // namespace whyslow
