#include "symbolizer/module_names.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "base/file_io.h"
#include "symbolizer/debug_file_finder.h"
#include "symbolizer/debuginfod.h"
#include "symbolizer/demangle.h"
#include "symbolizer/dwarf/dwarf_file.h"
#include "symbolizer/elf_symbols.h"
#include "symbolizer/go_functions.h"
#include "symbolizer/jit_dump.h"
#include "symbolizer/jit_map.h"
#include "symbolizer/kernel_symbols.h"
#include "symbolizer/mini_debug_info.h"
#include "symbolizer/plt_names.h"

namespace whyslow {
namespace {

constexpr size_t kMaxKallsyms = size_t{256} << 20;

bool IsMangled(std::string_view symbol) {
  return symbol.starts_with("_Z") || symbol.starts_with("_R");
}

NamedFunction FromSymbol(const std::string& symbol) {
  constexpr std::string_view kPlt = "@plt";
  const bool is_stub = symbol.ends_with(kPlt);
  NamedFunction function{.name = is_stub ? Demangle(symbol.substr(0, symbol.size() - kPlt.size())) +
                                               std::string(kPlt)
                                         : Demangle(symbol)};
  if (function.name != symbol) {
    function.system_name = symbol;
  }
  return function;
}

// The files that can name the code of one module.
struct ModuleFiles {
  const ElfFile* own = nullptr;
  std::optional<ElfFile> debug;  // a separate debug file
  std::optional<ElfFile> mini;   // MiniDebugInfo
};

bool HasDwarf(const ElfFile& elf) {
  return elf.FindSection(".debug_info") != nullptr || elf.FindSection(".zdebug_info") != nullptr;
}

DebugPlaces PlacesFor(const ModuleFileRef& file, const SymbolizeOptions& options) {
  return {.folders = options.debug_folders, .root = file != nullptr ? file->root() : nullptr};
}

ModuleFiles FindFiles(const ModuleFileRef& file, std::string_view path, std::string_view build_id,
                      const SymbolizeOptions& options) {
  ModuleFiles files{.own = file != nullptr ? file->elf() : nullptr};
  const DebugPlaces places = PlacesFor(file, options);
  if (files.own == nullptr || !HasDwarf(*files.own)) {
    const bool own_knows = files.own != nullptr && !files.own->build_id().empty();
    files.debug = FindByBuildId(own_knows ? files.own->build_id() : build_id, places);
    if (!files.debug && files.own != nullptr) {
      files.debug = FindByDebugLink(*files.own, path, places);
    }
    if (!files.debug && options.debuginfod != nullptr) {
      files.debug = options.debuginfod->Find(own_knows ? files.own->build_id() : build_id);
    }
  }
  if (files.own != nullptr && files.own->FindSection(".symtab") == nullptr && !files.debug) {
    files.mini = ReadMiniDebugInfo(*files.own);
  }
  return files;
}

std::vector<SymbolHit> FindAllSymbols(const ModuleFiles& files, std::span<const uint64_t> wanted) {
  std::vector<SymbolHit> hits(wanted.size());
  for (const ElfFile* elf :
       {files.own, files.debug ? &*files.debug : nullptr, files.mini ? &*files.mini : nullptr}) {
    if (elf != nullptr) {
      FindSymbols(*elf, ".symtab", wanted, hits);
    }
  }
  if (files.own != nullptr) {
    FindSymbols(*files.own, ".dynsym", wanted, hits);
  }
  return hits;
}

// Joins what DWARF and what the symbol tables know.
class FileNamer {
 public:
  FileNamer(const DwarfFile* dwarf, ModuleNames& names) : dwarf_(dwarf), names_(names) {}

  std::vector<NamedLine> Lines(const std::vector<DwarfFrame>& frames, const SymbolHit& symbol) {
    std::vector<NamedLine> lines;
    for (size_t i = 0; i < frames.size(); ++i) {
      const bool is_outermost = i + 1 == frames.size();
      const std::optional<uint32_t> function =
          FunctionOf(frames[i], is_outermost ? symbol.name : std::string());
      if (function) {
        lines.push_back({*function, frames[i].line, frames[i].column});
      }
    }
    if (frames.empty() && !symbol.name.empty()) {
      lines.push_back({BySymbol(symbol.name)});
    }
    return lines;
  }

  uint32_t BySymbol(const std::string& symbol) {
    const auto [row, is_new] = by_symbol_.try_emplace(symbol, kNoRow);
    if (is_new) {
      row->second = Add(FromSymbol(symbol));
    }
    return row->second;
  }

  uint32_t ByGo(const GoHit& hit) {
    const auto [row, is_new] = by_go_.try_emplace({hit.name, hit.file}, kNoRow);
    if (is_new) {
      row->second = Add({.name = hit.name, .file = hit.file, .start_line = hit.start_line});
    }
    return row->second;
  }

 private:
  using FrameKey = std::tuple<uint32_t, uint32_t, std::string>;

  uint32_t Add(NamedFunction function) {
    names_.functions.push_back(std::move(function));
    return static_cast<uint32_t>(names_.functions.size() - 1);
  }

  std::optional<uint32_t> FunctionOf(const DwarfFrame& frame, const std::string& symbol) {
    // The symbol counts only where DWARF has no linkage name of its own.
    const bool has_function = frame.function != kNoRow;
    const FunctionFacts* facts =
        has_function ? &dwarf_->functions()[frame.function].facts : nullptr;
    const bool use_symbol = !symbol.empty() && (facts == nullptr || IsBetter(symbol, *facts));
    if (facts == nullptr && !use_symbol) {
      return std::nullopt;
    }
    const auto [row, is_new] = by_frame_.try_emplace(
        FrameKey(frame.function, frame.path, use_symbol ? symbol : std::string()), kNoRow);
    if (is_new) {
      row->second = Add(Describe(frame, facts, use_symbol ? symbol : std::string()));
    }
    return names_.functions[row->second].name.empty() ? std::nullopt : std::optional(row->second);
  }

  // C++ functions without a linkage name: local classes of GCC, everything of clang -g1.
  static bool IsBetter(const std::string& symbol, const FunctionFacts& facts) {
    return facts.linkage_name.empty() &&
           (facts.name.empty() || (!facts.is_c_like && IsMangled(symbol)));
  }

  NamedFunction Describe(const DwarfFrame& frame, const FunctionFacts* facts,
                         const std::string& symbol) const {
    NamedFunction function;
    if (!symbol.empty()) {
      function = FromSymbol(symbol);
    } else if (facts != nullptr && !facts->linkage_name.empty()) {
      function = FromSymbol(facts->linkage_name);
    } else if (facts != nullptr) {
      function.name = facts->name;
    }
    if (facts != nullptr) {
      const uint32_t declared = dwarf_->functions()[frame.function].decl_path;
      const uint32_t path = frame.path != kNoRow ? frame.path : declared;
      // A body that came from another file (#include in a function) has its lines there; the line
      // of the declaration would be wrong in that file.
      function.start_line = path == declared ? facts->decl_line : 0;
      function.file = path != kNoRow ? dwarf_->paths()[path] : std::string();
    } else if (frame.path != kNoRow) {
      function.file = dwarf_->paths()[frame.path];
    }
    return function;
  }

  const DwarfFile* dwarf_;
  ModuleNames& names_;
  absl::flat_hash_map<FrameKey, uint32_t> by_frame_;
  absl::flat_hash_map<std::string, uint32_t> by_symbol_;
  absl::flat_hash_map<std::pair<std::string, std::string>, uint32_t> by_go_;
};

// Go's table is of use where DWARF says nothing.
std::vector<GoHit> FindMissingGoFunctions(const ModuleFiles& files,
                                          std::span<const uint64_t> wanted,
                                          const std::vector<std::vector<DwarfFrame>>& frames) {
  const bool is_wanted = std::ranges::any_of(frames, &std::vector<DwarfFrame>::empty);
  return is_wanted && files.own != nullptr ? FindGoFunctions(*files.own, wanted)
                                           : std::vector<GoHit>(wanted.size());
}

}  // namespace

ModuleNames NameFileAddresses(const ModuleFileRef& file, std::string_view path,
                              std::string_view build_id, const std::vector<uint64_t>& wanted,
                              const SymbolizeOptions& options) {
  ModuleNames names;
  names.lines.resize(wanted.size());
  const ModuleFiles files = FindFiles(file, path, build_id, options);
  const DebugPlaces places = PlacesFor(file, options);
  const ElfFile* with_dwarf = files.debug ? &*files.debug : files.own;
  std::unique_ptr<DwarfFile> dwarf;
  std::vector<std::vector<DwarfFrame>> frames(wanted.size());
  if (with_dwarf != nullptr && HasDwarf(*with_dwarf)) {
    const std::optional<ElfFile> alt = FindAltFile(*with_dwarf, places);
    dwarf = std::make_unique<DwarfFile>(*with_dwarf, alt ? &*alt : nullptr, std::string(path),
                                        places.root);
    dwarf->Resolve(wanted, frames);
    names.has_debug_information = true;
  }
  const std::vector<SymbolHit> symbols = FindAllSymbols(files, wanted);
  std::vector<std::string> stubs(wanted.size());
  if (files.own != nullptr) {
    FindPltNames(*files.own, wanted, stubs);
  }
  const std::vector<GoHit> go = FindMissingGoFunctions(files, wanted, frames);
  FileNamer namer(dwarf.get(), names);
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (frames[i].empty() && !go[i].name.empty()) {
      names.lines[i].push_back({namer.ByGo(go[i]), go[i].line});
      continue;
    }
    names.lines[i] = namer.Lines(frames[i], symbols[i]);
    if (names.lines[i].empty() && !stubs[i].empty()) {
      names.lines[i].push_back({namer.BySymbol(stubs[i])});
    }
  }
  return names;
}

ModuleNames NameKernelAddresses(std::span<const KernelCode> code,
                                const std::vector<uint64_t>& wanted,
                                const SymbolizeOptions& options) {
  ModuleNames names;
  names.lines.resize(wanted.size());
  std::vector<KernelName> found(wanted.size());
  const absl::StatusOr<std::string> kallsyms = ReadFile(options.kallsyms_path, kMaxKallsyms);
  if (kallsyms.ok()) {
    FindKernelNames(*kallsyms, wanted, found);
  }
  FindKernelCode(code, wanted, found);
  absl::flat_hash_map<std::pair<std::string, std::string>, uint32_t> rows;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (found[i].name.empty()) {
      continue;
    }
    const auto [row, is_new] = rows.try_emplace({found[i].name, found[i].module},
                                                static_cast<uint32_t>(names.functions.size()));
    if (is_new) {
      NamedFunction function = FromSymbol(found[i].name);
      function.file = found[i].module;
      names.functions.push_back(std::move(function));
    }
    names.lines[i].push_back({row->second});
  }
  return names;
}

ModuleNames NameJitAddresses(std::string_view map, std::string_view dump,
                             const std::vector<uint64_t>& wanted) {
  ModuleNames names;
  names.lines.resize(wanted.size());
  std::vector<JitCode> code = ReadJitMap(map);
  // The dump has lines, so it counts as the later one.
  std::ranges::move(ReadJitDump(std::as_bytes(std::span(dump.data(), dump.size()))),
                    std::back_inserter(code));
  const std::vector<JitHit> found = FindJitCode(code, wanted);
  absl::flat_hash_map<std::pair<std::string, std::string>, uint32_t> rows;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (found[i].name.empty()) {
      continue;
    }
    const auto [row, is_new] = rows.try_emplace({found[i].name, found[i].file},
                                                static_cast<uint32_t>(names.functions.size()));
    if (is_new) {
      names.functions.push_back({.name = found[i].name, .file = found[i].file});
    }
    names.lines[i].push_back({row->second, found[i].line});
  }
  return names;
}

}  // namespace whyslow
