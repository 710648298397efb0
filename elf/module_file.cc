#include "elf/module_file.h"

#include <sys/stat.h>

#include <utility>

namespace whyslow {

ModuleFile::ModuleFile(std::string path, UniqueFd fd, ModuleIdentity identity,
                       std::shared_ptr<const RootFolder> root)
    : path_(std::move(path)), root_(std::move(root)), identity_(std::move(identity)) {
  if (!fd) {
    problem_ = "could not be opened";
    return;
  }
  absl::StatusOr<ElfFile> elf = ElfFile::Open(std::move(fd), path_);
  if (!elf.ok()) {
    problem_ = std::string(elf.status().message());
    return;
  }
  elf_ = *std::move(elf);
}

ModuleFile::ModuleFile(std::string path, ElfFile image)
    : path_(std::move(path)), elf_(std::move(image)) {
  identity_.build_id = elf_->build_id();
  identity_.size = elf_->file_size();
}

ModuleIdentity IdentityOf(const UniqueFd& fd) {
  ModuleIdentity identity;
  struct stat info {};
  if (fd && fstat(fd.get(), &info) == 0) {
    identity.device = info.st_dev;
    identity.inode = info.st_ino;
    identity.size = static_cast<uint64_t>(info.st_size);
    identity.mtime_nanos = info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec;
  }
  return identity;
}

}  // namespace whyslow
