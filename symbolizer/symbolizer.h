// Names for addresses, after capture: each module and address once, inlined frames always.
#pragma once

#include <absl/status/status.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "elf/module_file.h"
#include "profile/profile.h"
#include "symbolizer/kernel_symbols.h"

namespace whyslow {

// Where the names of one row of Profile::modules come from. Made by capture, which kept the
// descriptors.
struct SymbolSource {
  ModuleIndex module;
  ModuleFileRef file;    // kFile and kVdso; null when it could not be opened
  std::string jit_map;   // kJit: content of /tmp/perf-PID.map; empty when there is none
  std::string jit_dump;  // kJit: content of the jitdump file; empty when there is none
  std::vector<KernelCode> kernel_code;  // kKernel: what kallsyms does not list any more
};

class Debuginfod;
class NamesCache;

struct SymbolizeOptions {
  // Folders that hold .build-id/xx/yyyy.debug and mirrors of the file tree.
  std::vector<std::string> debug_folders{"/usr/lib/debug"};
  std::string kallsyms_path = "/proc/kallsyms";
  Debuginfod* debuginfod = nullptr;   // asked where no folder has a file; null: nobody is
  const NamesCache* cache = nullptr;  // of names from earlier runs; null: files are always read
  unsigned threads = 2;
};

struct SymbolizeReport {
  uint64_t locations = 0;   // that asked for a name
  uint64_t unresolved = 0;  // that got none
};

// Gives lines to every location of `profile` that has none and whose module is a file, the vdso,
// the kernel or JIT code, and sets the has_* flags of the modules. Locations without a name stay
// without lines. Never fails as a whole: a module that cannot be read leaves its locations
// unresolved.
SymbolizeReport Symbolize(Profile& profile, const std::vector<SymbolSource>& sources,
                          const SymbolizeOptions& options);

}  // namespace whyslow
