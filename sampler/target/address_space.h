// The executable mappings of one process at one moment.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/address.h"
#include "elf/module_file.h"

namespace whyslow {

enum class MappingKind : uint8_t {
  kFile,       // a module
  kVdso,       // a module whose image came from memory
  kAnonymous,  // JIT code, or a file that is no ELF
};

struct Mapping {
  RuntimeAddress start;
  RuntimeAddress end;
  uint64_t file_offset = 0;
  MappingKind kind = MappingKind::kAnonymous;
  ModuleFileRef module;  // null for kAnonymous
  // ELF address - runtime address, modulo 2^64, for every address of this mapping.
  uint64_t elf_bias = 0;

  bool Contains(RuntimeAddress address) const { return start <= address && address < end; }
  ElfAddress ToElf(RuntimeAddress address) const { return ElfAddress(address.value() + elf_bias); }
  RuntimeAddress ToRuntime(ElfAddress address) const {
    return RuntimeAddress(address.value() - elf_bias);
  }
};

// A number that was not given before in this run of ours: for versions of what lies where in
// processes. Never 0. Any thread.
uint32_t NextSpaceVersion();

// Newer mappings replace what they overlap, as in the kernel. Copied when a process forks.
class AddressSpace {
 public:
  void Add(Mapping mapping);
  void Clear();

  // The mapping that holds the address; nullptr: none known. Valid until the next change.
  const Mapping* Find(RuntimeAddress address) const;

  // Changes with every change; equal versions (of copies, too) mean equal contents. For caches of
  // what was found here.
  uint32_t version() const { return version_; }

  size_t size() const { return mappings_.size(); }
  const std::map<RuntimeAddress, Mapping>& mappings() const { return mappings_; }

 private:
  std::map<RuntimeAddress, Mapping> mappings_;  // by start; never overlapping
  uint32_t version_ = 0;                        // 0: empty
};

}  // namespace whyslow
