#include "symbolizer/kernel_symbols.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

#include "symbolizer/symbol_choice.h"

namespace whyslow {
namespace {

// A function of the kernel longer than this does not exist; what lies further is in no symbol.
constexpr uint64_t kMaxFunction = uint64_t{1} << 20;

struct KernelSymbol {
  uint64_t start = 0;
  std::string_view name;
  std::string_view module;
  char type = '?';

  bool is_code() const { return type == 't' || type == 'T' || type == 'w' || type == 'W'; }
};

// "ffffffff81000000 T _text" or "... t name\t[module]".
std::optional<KernelSymbol> ParseLine(std::string_view line) {
  KernelSymbol symbol;
  const char* end = line.data() + line.size();
  const auto [after, error] = std::from_chars(line.data(), end, symbol.start, 16);
  const auto at = static_cast<size_t>(after - line.data());
  if (error != std::errc() || symbol.start == 0 || line.size() < at + 4 || line[at] != ' ' ||
      line[at + 2] != ' ') {
    return std::nullopt;
  }
  symbol.type = line[at + 1];
  symbol.name = line.substr(at + 3);
  if (const size_t tab = symbol.name.find('\t'); tab != std::string_view::npos) {
    symbol.module = symbol.name.substr(tab + 1);
    symbol.name = symbol.name.substr(0, tab);
  }
  return symbol;
}

SymbolRank RankOf(const KernelSymbol& symbol) {
  const bool is_weak = symbol.type == 'w' || symbol.type == 'W';
  return SymbolRank::Of(symbol.name, !symbol.is_code(), symbol.type == 't', is_weak);
}

std::vector<KernelSymbol> ParseAll(std::string_view kallsyms) {
  std::vector<KernelSymbol> symbols;
  while (!kallsyms.empty()) {
    const size_t end = std::min(kallsyms.find('\n'), kallsyms.size());
    if (const std::optional<KernelSymbol> symbol = ParseLine(kallsyms.substr(0, end))) {
      symbols.push_back(*symbol);
    }
    kallsyms.remove_prefix(std::min(end + 1, kallsyms.size()));
  }
  // The best of several at one address comes last.
  std::ranges::sort(symbols, [](const KernelSymbol& a, const KernelSymbol& b) {
    return a.start != b.start ? a.start < b.start : RankOf(b).BetterThan(RankOf(a));
  });
  return symbols;
}

}  // namespace

void FindKernelCode(std::span<const KernelCode> code, std::span<const uint64_t> wanted,
                    std::span<KernelName> names) {
  // Backwards, so that the first one has the last word.
  for (auto piece = code.rbegin(); piece != code.rend(); ++piece) {
    auto at = std::ranges::lower_bound(wanted, piece->start);
    for (; at != wanted.end() && *at - piece->start < piece->size; ++at) {
      names[static_cast<size_t>(at - wanted.begin())] = {piece->name, piece->module};
    }
  }
}

void FindKernelNames(std::string_view kallsyms, std::span<const uint64_t> wanted,
                     std::span<KernelName> names) {
  const std::vector<KernelSymbol> symbols = ParseAll(kallsyms);
  for (size_t i = 0; i < wanted.size(); ++i) {
    const auto after = std::ranges::upper_bound(symbols, wanted[i], {}, &KernelSymbol::start);
    if (after == symbols.begin()) {
      continue;
    }
    const KernelSymbol& symbol = *std::prev(after);
    if (symbol.is_code() && wanted[i] - symbol.start < kMaxFunction) {
      names[i] = {.name = std::string(symbol.name), .module = std::string(symbol.module)};
    }
  }
}

}  // namespace whyslow
