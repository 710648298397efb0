#include "sampler/target/module_table.h"

#include <sys/auxv.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/unique_fd.h"

namespace whyslow {
namespace {

constexpr std::string_view kVdsoPath = "[vdso]";

// Names that the kernel gives to mappings without a file, and files that never hold a program.
bool NamesNoFile(std::string_view path) {
  return path.empty() || path.starts_with('[') || path.starts_with("//") ||
         path.starts_with("/dev/") || path.starts_with("anon_inode:") || path.starts_with("/SYSV");
}

bool IsSameFile(const UniqueFd& fd, const MappingAdded& event, const std::string& path) {
  if (!event.build_id.empty()) {
    UniqueFd copy(dup(fd.get()));
    absl::StatusOr<ElfFile> elf = ElfFile::Open(std::move(copy), path);
    return elf.ok() && elf->build_id() == event.build_id;
  }
  const ModuleIdentity identity = IdentityOf(fd);
  return event.inode != 0 && identity.inode == event.inode && identity.device == event.device;
}

UniqueFd OpenRecordedFile(const MappingAdded& event) {
  absl::StatusOr<UniqueFd> fd = OpenReadOnly(event.path, /*regular_only=*/true);
  if (!fd.ok() || !IsSameFile(*fd, event, event.path)) {
    return UniqueFd();
  }
  return *std::move(fd);
}

// Our own vdso: the kernel maps the same image into every 64-bit process of a boot.
ModuleFileRef OwnVdso() {
  const auto* start = reinterpret_cast<const char*>(getauxval(AT_SYSINFO_EHDR));
  if (start == nullptr) {
    return nullptr;
  }
  Elf64_Ehdr header;
  std::memcpy(&header, start, sizeof(header));
  // The image ends with its section headers; it is a handful of pages.
  const size_t size = header.e_shoff + size_t{header.e_shnum} * header.e_shentsize;
  constexpr size_t kMaxVdso = size_t{64} * 1024;
  absl::StatusOr<ElfFile> elf =
      ElfFile::FromBytes(std::string(start, std::min(size, kMaxVdso)), std::string(kVdsoPath));
  return elf.ok() ? std::make_shared<const ModuleFile>(std::string(kVdsoPath), *std::move(elf))
                  : nullptr;
}

}  // namespace

std::optional<uint64_t> BiasOfMapping(const ElfFile& elf, RuntimeAddress start, uint64_t size,
                                      uint64_t file_offset) {
  std::optional<uint64_t> bias;
  uint64_t best_overlap = 0;
  for (const ElfSegment& segment : elf.segments()) {
    if (!segment.executable()) {
      continue;
    }
    const uint64_t from = std::max(file_offset, segment.file_offset);
    const uint64_t to = std::min(file_offset + size, segment.file_offset + segment.file_size);
    if (to > from && to - from > best_overlap) {
      best_overlap = to - from;
      bias = segment.address.value() - segment.file_offset + file_offset - start.value();
    }
  }
  return bias;
}

ModuleFileRef ModuleTable::Vdso() {
  if (vdso_ == nullptr) {
    vdso_ = OwnVdso();
  }
  return vdso_;
}

ModuleFileRef ModuleTable::FileModule(const MappingAdded& event) {
  UniqueFd fd = event.file != nullptr ? UniqueFd(dup(event.file->get())) : OpenRecordedFile(event);
  ModuleIdentity identity;
  if (fd) {
    identity = IdentityOf(fd);
  } else if (!event.build_id.empty()) {
    identity.build_id = event.build_id;
  } else {
    identity.device = event.device;
    identity.inode = event.inode;
  }
  if (const auto known = modules_.find(identity);
      known != modules_.end() && (known->second->elf() != nullptr || !fd)) {
    return known->second;
  }
  ModuleIdentity full = identity;
  auto module =
      std::make_shared<ModuleFile>(event.path, std::move(fd), std::move(full), event.root);
  modules_[identity] = module;
  return module;
}

Mapping ModuleTable::Resolve(const MappingAdded& event) {
  Mapping mapping{.start = event.start,
                  .end = event.start + event.size,
                  .file_offset = event.file_offset,
                  .kind = MappingKind::kAnonymous,
                  .module = nullptr,
                  .elf_bias = 0};
  if (event.path == kVdsoPath) {
    mapping.module = Vdso();
    mapping.kind = mapping.module != nullptr ? MappingKind::kVdso : MappingKind::kAnonymous;
  } else if (!NamesNoFile(event.path)) {
    mapping.module = FileModule(event);
    // A file that could be opened and is no ELF file holds code that someone generated.
    const bool generated = mapping.module->elf() == nullptr && event.file != nullptr;
    mapping.kind = generated ? MappingKind::kAnonymous : MappingKind::kFile;
    if (generated) {
      mapping.module = nullptr;
    }
  }
  if (mapping.module != nullptr) {
    const ElfFile* elf = mapping.module->elf();
    const std::optional<uint64_t> bias =
        elf != nullptr ? BiasOfMapping(*elf, event.start, event.size, event.file_offset)
                       : std::nullopt;
    // Without the file's segments, the file offset is the best stable name of an address.
    mapping.elf_bias = bias.value_or(event.file_offset - event.start.value());
  }
  return mapping;
}

}  // namespace whyslow
