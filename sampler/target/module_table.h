// The loaded files of all targets, each once by identity, however many processes map it.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <string>

#include "elf/module_file.h"
#include "sampler/event.h"
#include "sampler/target/address_space.h"

namespace whyslow {

// Used by one thread. Keeps every module that it ever made: their descriptors are wanted for names.
class ModuleTable {
 public:
  // The mapping that an event describes, with its module where it has one. Files that are no ELF
  // files are kAnonymous. An event without a descriptor (a recording) leads to the file at its path
  // only when build ID, or device and inode, prove that it is the same.
  Mapping Resolve(const MappingAdded& event);

 private:
  ModuleFileRef FileModule(const MappingAdded& event);
  ModuleFileRef Vdso();

  absl::flat_hash_map<ModuleIdentity, ModuleFileRef> modules_;
  ModuleFileRef vdso_;
};

// ELF address - runtime address for a mapping of `file_offset`, modulo 2^64. The kernel maps whole
// pages, so that the mapping may begin before its segment does, within bytes of the segment before:
// the executable segment that overlaps the mapping most decides. nullopt: none overlaps.
std::optional<uint64_t> BiasOfMapping(const ElfFile& elf, RuntimeAddress start, uint64_t size,
                                      uint64_t file_offset);

}  // namespace whyslow
