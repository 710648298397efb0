#include "symbolizer/elf_symbols.h"

#include <algorithm>

#include "base/byte_reader.h"
#include "symbolizer/symbol_choice.h"

namespace whyslow {
namespace {

// More functions than any program has, and longer names than any compiler writes.
constexpr size_t kMaxSymbols = 8'000'000;
constexpr uint64_t kMaxName = 16384;

struct Symbol {
  uint64_t start = 0;
  uint64_t end = 0;  // the size's end; `start` for those without a size
  uint32_t name = 0;
  uint16_t section = 0;
  uint8_t info = 0;

  bool has_size() const { return end != start; }
};

// "$x", "$d" and the like of ARM, alone or with a suffix, mark code and data. Swift's names begin
// with a dollar, too.
bool IsMappingMark(std::string_view name) {
  return name.size() >= 2 && name[0] == '$' &&
         std::string_view("adtx").find(name[1]) != std::string_view::npos &&
         (name.size() == 2 || name[2] == '.');
}

class SymbolTable {
 public:
  SymbolTable(const ElfFile& elf, const ElfSection& section) : elf_(elf) {
    if (section.link >= elf.sections().size()) {
      return;
    }
    absl::StatusOr<SectionBytes> rows = elf.ReadSection(section);
    absl::StatusOr<SectionBytes> texts = elf.ReadSection(elf.sections()[section.link]);
    if (!rows.ok() || !texts.ok()) {
      return;
    }
    texts_ = *std::move(texts);
    Collect(rows->bytes());
  }

  void Find(std::span<const uint64_t> wanted, std::span<SymbolHit> hits) {
    // Of the symbols with a size that began and have not ended, the one that began last is the
    // innermost. What has ended for one address has ended for all later ones.
    std::vector<const Symbol*> open;
    size_t next = 0;
    for (size_t i = 0; i < wanted.size(); ++i) {
      const uint64_t address = wanted[i];
      for (; next < symbols_.size() && symbols_[next].start <= address; ++next) {
        if (symbols_[next].has_size()) {
          open.push_back(&symbols_[next]);
        }
      }
      while (!open.empty() && open.back()->end <= address) {
        open.pop_back();
      }
      const Symbol* found = open.empty() ? LabelFor(address, next) : open.back();
      if (found != nullptr && hits[i].name.empty()) {
        hits[i] = {.name = std::string(NameOf(*found)), .start = found->start};
      }
    }
  }

 private:
  void Collect(std::span<const std::byte> rows) {
    ByteReader reader(rows);
    while (reader.remaining() >= sizeof(Elf64_Sym) && symbols_.size() < kMaxSymbols) {
      const auto row = reader.Fixed<Elf64_Sym>();
      const uint8_t type = ELF64_ST_TYPE(row.st_info);
      const bool is_code = type == STT_FUNC || type == STT_GNU_IFUNC || type == STT_NOTYPE;
      if (!is_code || row.st_shndx == SHN_UNDEF || !IsInCode(row.st_shndx, type)) {
        continue;
      }
      const Symbol symbol{.start = row.st_value,
                          .end = row.st_value + std::min(row.st_size, ~row.st_value),
                          .name = row.st_name,
                          .section = row.st_shndx,
                          .info = row.st_info};
      if (const std::string_view name = NameOf(symbol); !name.empty() && !IsMappingMark(name)) {
        symbols_.push_back(symbol);
      }
    }
    // The best of equal start comes last: it lies on top of the others.
    std::ranges::sort(symbols_, [this](const Symbol& a, const Symbol& b) {
      if (a.start != b.start) {
        return a.start < b.start;
      }
      return a.has_size() != b.has_size() ? b.has_size() : RankOf(b).BetterThan(RankOf(a));
    });
  }

  bool IsInCode(uint16_t section, uint8_t type) const {
    const std::span<const ElfSection> sections = elf_.sections();
    if (section >= SHN_LORESERVE || section >= sections.size()) {
      return type != STT_NOTYPE;
    }
    return (sections[section].flags & SHF_EXECINSTR) != 0;
  }

  // Hand-written assembly often has no sizes: a label holds until whatever comes next.
  // symbols_[next] is the first that begins after `address`.
  const Symbol* LabelFor(uint64_t address, size_t next) const {
    if (next == 0) {
      return nullptr;
    }
    const Symbol& last = symbols_[next - 1];
    return !last.has_size() && address < EndOfSection(last) ? &last : nullptr;
  }

  uint64_t EndOfSection(const Symbol& symbol) const {
    const std::span<const ElfSection> sections = elf_.sections();
    if (symbol.section >= sections.size()) {
      return symbol.start + 1;
    }
    const ElfSection& section = sections[symbol.section];
    return section.address.value() + section.size;
  }

  std::string_view NameOf(const Symbol& symbol) const {
    const std::string_view name = TextAt(texts_.bytes(), symbol.name, kMaxName);
    return name.substr(0, name.find('@'));
  }

  SymbolRank RankOf(const Symbol& symbol) const {
    const uint8_t binding = ELF64_ST_BIND(symbol.info);
    return SymbolRank::Of(NameOf(symbol), ELF64_ST_TYPE(symbol.info) == STT_NOTYPE,
                          binding == STB_LOCAL, binding == STB_WEAK);
  }

  const ElfFile& elf_;
  SectionBytes texts_;
  std::vector<Symbol> symbols_;
};

}  // namespace

void FindSymbols(const ElfFile& elf, std::string_view table, std::span<const uint64_t> wanted,
                 std::span<SymbolHit> hits) {
  const ElfSection* section = elf.FindSection(table);
  if (section != nullptr) {
    SymbolTable(elf, *section).Find(wanted, hits);
  }
}

}  // namespace whyslow
