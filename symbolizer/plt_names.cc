#include "symbolizer/plt_names.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <optional>

#include "base/byte_reader.h"

namespace whyslow {
namespace {

uint64_t Sign21(uint64_t value) { return (value ^ 0x100000) - 0x100000; }

// x86-64: [endbr64] [bnd] jmp *disp(%rip). `code` begins at `address`.
std::optional<uint64_t> SlotOfX86(std::span<const std::byte> code, uint64_t address) {
  for (size_t at = 0; at + 6 <= code.size() && at <= 5; ++at) {
    if (std::to_integer<unsigned>(code[at]) == 0xFF &&
        std::to_integer<unsigned>(code[at + 1]) == 0x25) {
      ByteReader reader(code, at + 2);
      const auto displacement = static_cast<int64_t>(reader.Fixed<int32_t>());
      return address + at + 6 + static_cast<uint64_t>(displacement);
    }
  }
  return std::nullopt;
}

// ARM64: [bti c] adrp x16, page; ldr x17, [x16, #offset].
std::optional<uint64_t> SlotOfArm64(std::span<const std::byte> code, uint64_t address) {
  for (size_t at = 0; at + 8 <= code.size() && at <= 4; at += 4) {
    ByteReader reader(code, at);
    const uint32_t adrp = reader.U32();
    const uint32_t ldr = reader.U32();
    if ((adrp & 0x9F00001F) == 0x90000010 && (ldr & 0xFFC003FF) == 0xF9400211) {
      const uint64_t pages = Sign21((adrp >> 5 & 0x7FFFF) << 2 | (adrp >> 29 & 3));
      return ((address + at) & ~uint64_t{0xFFF}) + (pages << 12) + (ldr >> 10 & 0xFFF) * 8;
    }
  }
  return std::nullopt;
}

class PltNames {
 public:
  explicit PltNames(const ElfFile& elf) : elf_(elf) {
    for (const ElfSection& section : elf.sections()) {
      if (section.type == SHT_RELA) {
        CollectSlots(section);
      }
    }
  }

  std::string NameAt(const ElfSection& plt, std::span<const std::byte> code, uint64_t address) {
    // 8 bytes in some .plt.got, 24 with branch protection on ARM64 (after a header of 32), else 16.
    const bool is_odd = plt.entry_size == 8 || plt.entry_size == 24;
    const uint64_t step = is_odd ? plt.entry_size : 16;
    const uint64_t header = step == 24 ? 32 : 0;
    const uint64_t offset = address - plt.address.value();
    const uint64_t at = header + (offset - header) / step * step;
    if (offset < header || at >= code.size()) {
      return {};
    }
    const std::span<const std::byte> stub =
        code.subspan(at, std::min<size_t>(step, code.size() - at));
    const std::optional<uint64_t> slot = elf_.machine() == EM_AARCH64
                                             ? SlotOfArm64(stub, plt.address.value() + at)
                                             : SlotOfX86(stub, plt.address.value() + at);
    const auto found = slot ? slots_.find(*slot) : slots_.end();
    return found == slots_.end() ? std::string() : found->second + "@plt";
  }

 private:
  // Slots of the global offset table, by the symbol that the loader puts there.
  void CollectSlots(const ElfSection& relocations) {
    const std::span<const ElfSection> sections = elf_.sections();
    if (relocations.link >= sections.size() || sections[relocations.link].link >= sections.size()) {
      return;
    }
    const ElfSection& symbols = sections[relocations.link];
    const absl::StatusOr<SectionBytes> rows = elf_.ReadSection(relocations);
    const absl::StatusOr<SectionBytes> symbol_rows = elf_.ReadSection(symbols);
    const absl::StatusOr<SectionBytes> texts = elf_.ReadSection(sections[symbols.link]);
    if (!rows.ok() || !symbol_rows.ok() || !texts.ok()) {
      return;
    }
    ByteReader reader(rows->bytes());
    while (reader.remaining() >= sizeof(Elf64_Rela)) {
      const auto row = reader.Fixed<Elf64_Rela>();
      const uint64_t type = ELF64_R_TYPE(row.r_info);
      if (type != R_X86_64_JUMP_SLOT && type != R_X86_64_GLOB_DAT && type != R_AARCH64_JUMP_SLOT &&
          type != R_AARCH64_GLOB_DAT) {
        continue;
      }
      ByteReader symbol(symbol_rows->bytes(), ELF64_R_SYM(row.r_info) * sizeof(Elf64_Sym));
      const std::string_view name = TextAt(texts->bytes(), symbol.Fixed<Elf64_Sym>().st_name);
      if (symbol.ok() && !name.empty()) {
        slots_.try_emplace(row.r_offset, name.substr(0, name.find('@')));
      }
    }
  }

  const ElfFile& elf_;
  absl::flat_hash_map<uint64_t, std::string> slots_;
};

}  // namespace

void FindPltNames(const ElfFile& elf, std::span<const uint64_t> wanted,
                  std::span<std::string> names) {
  std::optional<PltNames> plt;
  for (const ElfSection& section : elf.sections()) {
    const uint64_t begin = section.address.value();
    const auto first = std::ranges::lower_bound(wanted, begin);
    if (!section.name.starts_with(".plt") || (section.flags & SHF_EXECINSTR) == 0 ||
        first == wanted.end() || *first - begin >= section.size) {
      continue;
    }
    const absl::StatusOr<SectionBytes> code = elf.ReadSection(section);
    if (!code.ok()) {
      continue;
    }
    if (!plt) {
      plt.emplace(elf);
    }
    for (auto at = first; at != wanted.end() && *at - begin < section.size; ++at) {
      std::string& name = names[static_cast<size_t>(at - wanted.begin())];
      if (name.empty()) {
        name = plt->NameAt(section, code->bytes(), *at);
      }
    }
  }
}

}  // namespace whyslow
