#include "symbolizer/module_names.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <atomic>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <thread>
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
#include "symbolizer/names_cache.h"
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
  std::optional<ElfFile> debug;      // a separate debug file
  std::optional<ElfFile> alt;        // what dwz moved common parts to
  const RootFolder* root = nullptr;  // where other names of files hold; null: the host's

  const ElfFile* separate() const { return debug ? &*debug : nullptr; }
  const ElfFile* common() const { return alt ? &*alt : nullptr; }
  const ElfFile* with_dwarf() const { return debug ? &*debug : own; }
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
  files.root = places.root;
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
  if (files.with_dwarf() != nullptr && HasDwarf(*files.with_dwarf())) {
    files.alt = FindAltFile(*files.with_dwarf(), places);
  }
  return files;
}

std::vector<SymbolHit> FindAllSymbols(const ModuleFiles& files, std::span<const uint64_t> wanted) {
  std::vector<SymbolHit> hits(wanted.size());
  std::optional<ElfFile> mini;
  if (files.own != nullptr && files.own->FindSection(".symtab") == nullptr && !files.debug) {
    mini = ReadMiniDebugInfo(*files.own);
  }
  const ElfFile* in_mini = mini ? &*mini : nullptr;
  for (const ElfFile* elf : {files.own, files.separate(), in_mini}) {
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
  FileNamer(const DwarfFile* dwarf, NamedAddresses& names) : dwarf_(dwarf), names_(names) {}

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
      row->second = AddSymbol(symbol, {});
    }
    return row->second;
  }

  // To be called at the end: until then functions with a symbol have that as their name. Long C++
  // names take longer than finding them, so this is shared out over some threads.
  void Demangle(unsigned threads) {
    std::atomic<size_t> next{0};
    const auto work = [&] {
      for (size_t i = next++; i < mangled_.size(); i = next++) {
        NamedFunction& function = names_.functions[mangled_[i]];
        NamedFunction named = FromSymbol(function.name);
        function.name = std::move(named.name);
        function.system_name = std::move(named.system_name);
      }
    };
    std::vector<std::jthread> helpers;
    for (unsigned i = 1; i < threads && mangled_.size() > kManySymbols; ++i) {
      helpers.emplace_back(work);
    }
    work();
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

  // Fewer are demangled before a thread has started.
  static constexpr size_t kManySymbols = 200;

  // `function` is what is known besides the name.
  uint32_t AddSymbol(const std::string& symbol, NamedFunction function) {
    function.name = symbol;
    mangled_.push_back(static_cast<uint32_t>(names_.functions.size()));
    return Add(std::move(function));
  }

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
      const bool has_linkage_name = facts != nullptr && !facts->linkage_name.empty();
      if (use_symbol || has_linkage_name) {
        row->second = AddSymbol(use_symbol ? symbol : facts->linkage_name, PlaceOf(frame, facts));
      } else {
        row->second = Add(PlaceOf(frame, facts));
        names_.functions[row->second].name = facts->name;
      }
    }
    return names_.functions[row->second].name.empty() ? std::nullopt : std::optional(row->second);
  }

  // C++ functions without a linkage name: local classes of GCC, everything of clang -g1.
  static bool IsBetter(const std::string& symbol, const FunctionFacts& facts) {
    return facts.linkage_name.empty() &&
           (facts.name.empty() || (!facts.is_c_like && IsMangled(symbol)));
  }

  // All but the name.
  NamedFunction PlaceOf(const DwarfFrame& frame, const FunctionFacts* facts) const {
    NamedFunction function;
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
  NamedAddresses& names_;
  std::vector<uint32_t> mangled_;  // rows of functions
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

FoundNames NameInFiles(const ModuleFiles& files, std::string_view path,
                       const std::vector<uint64_t>& wanted, unsigned threads) {
  FoundNames result;
  NamedAddresses& names = result.names;
  names.lines.resize(wanted.size());
  const ElfFile* with_dwarf = files.with_dwarf();
  std::unique_ptr<DwarfFile> dwarf;
  std::vector<std::vector<DwarfFrame>> frames(wanted.size());
  if (with_dwarf != nullptr && HasDwarf(*with_dwarf)) {
    dwarf = std::make_unique<DwarfFile>(*with_dwarf, files.common(), std::string(path), files.root);
    dwarf->Resolve(wanted, frames);
    names.has_debug_information = true;
    // Split units lie in files of their own, which can come and go.
    result.may_be_kept = dwarf->complete() && !dwarf->has_split_units();
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
  namer.Demangle(threads);
  return result;
}

}  // namespace

NamedAddresses NameFileAddresses(const ModuleFileRef& file, std::string_view path,
                                 std::string_view build_id, const std::vector<uint64_t>& wanted,
                                 const SymbolizeOptions& options) {
  const ModuleFiles files = FindFiles(file, path, build_id, options);
  const auto search = [&](const std::vector<uint64_t>& missing) {
    return NameInFiles(files, path, missing, options.threads);
  };
  if (options.cache == nullptr || files.with_dwarf() == nullptr) {
    return search(wanted).names;
  }
  const auto make_key = [&] {
    NamesKey key(options.debug_folders, options.debuginfod != nullptr);
    for (const ElfFile* part : {files.own, files.separate(), files.common()}) {
      key.AddFile(part);
    }
    return key;
  };
  return options.cache->Find(wanted, make_key, search);
}

NamedAddresses NameKernelAddresses(std::span<const KernelCode> code,
                                   const std::vector<uint64_t>& wanted,
                                   const SymbolizeOptions& options) {
  NamedAddresses names;
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

NamedAddresses NameJitAddresses(std::string_view map, std::string_view dump,
                                const std::vector<uint64_t>& wanted) {
  NamedAddresses names;
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
