// One loaded file of the target, opened once and kept open: deleted, replaced, memfd and
// containerized files keep their code and their names.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/root_folder.h"
#include "base/unique_fd.h"
#include "elf/elf_file.h"

namespace whyslow {

// Two mappings with equal identity hold the same code. The build ID alone where there is one, else
// device, inode, size and time of change.
struct ModuleIdentity {
  std::string build_id;  // lower-case hex
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t size = 0;
  int64_t mtime_nanos = 0;

  bool operator==(const ModuleIdentity&) const = default;
  template <class H>
  friend H AbslHashValue(H state, const ModuleIdentity& id) {
    return H::combine(std::move(state), id.build_id, id.device, id.inode, id.size, id.mtime_nanos);
  }
};

// Shared by every process that maps the file, by the unwinder and by the symbolizer. Immutable once
// made; the ELF headers are parsed at construction. Thread-safe for reading.
class ModuleFile {
 public:
  // `path` is what the target calls it; `fd` may be empty when the file could not be opened (names
  // then come from debug directories by `identity`, or not at all).
  // `root` is the tree of files in which that path leads to it; null: ours.
  ModuleFile(std::string path, UniqueFd fd, ModuleIdentity identity,
             std::shared_ptr<const RootFolder> root = nullptr);
  // An image without a file: the vdso.
  ModuleFile(std::string path, ElfFile image);

  const std::string& path() const { return path_; }
  const RootFolder* root() const { return root_.get(); }
  const ModuleIdentity& identity() const { return identity_; }
  // nullptr when the file could not be opened or is not a usable ELF file.
  const ElfFile* elf() const { return elf_ ? &*elf_ : nullptr; }
  // Why elf() is nullptr.
  const std::string& problem() const { return problem_; }

 private:
  std::string path_;
  std::shared_ptr<const RootFolder> root_;
  ModuleIdentity identity_;
  std::optional<ElfFile> elf_;
  std::string problem_;
};

using ModuleFileRef = std::shared_ptr<const ModuleFile>;

// Device, inode, size and time of an open file. The build ID is left empty.
ModuleIdentity IdentityOf(const UniqueFd& fd);

}  // namespace whyslow
