// Names for all wanted addresses of one module, from every source that it has.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "elf/module_file.h"
#include "symbolizer/symbolizer.h"

namespace whyslow {

struct NamedFunction {
  std::string name;         // demangled
  std::string system_name;  // the symbol, where it differs
  std::string file;
  int64_t start_line = 0;
};

struct NamedLine {
  uint32_t function = 0;  // row of NamedAddresses::functions
  int64_t line = 0;
  int64_t column = 0;
};

struct NamedAddresses {
  std::vector<NamedFunction> functions;
  // For each wanted address, innermost first; empty: unresolved.
  std::vector<std::vector<NamedLine>> lines;
  bool has_debug_information = false;
};

// `wanted` is sorted and has no duplicates. `build_id` finds debug files where `file` is null or
// could not be opened.
NamedAddresses NameFileAddresses(const ModuleFileRef& file, std::string_view path,
                                 std::string_view build_id, const std::vector<uint64_t>& wanted,
                                 const SymbolizeOptions& options);
NamedAddresses NameKernelAddresses(std::span<const KernelCode> code,
                                   const std::vector<uint64_t>& wanted,
                                   const SymbolizeOptions& options);
NamedAddresses NameJitAddresses(std::string_view map, std::string_view dump,
                                const std::vector<uint64_t>& wanted);

}  // namespace whyslow
