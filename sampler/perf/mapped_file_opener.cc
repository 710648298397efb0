#include "sampler/perf/mapped_file_opener.h"

#include <absl/strings/str_format.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "elf/elf_file.h"

namespace whyslow {
namespace {

constexpr size_t kMostKept = 256;

std::string KeyOf(const MappingAdded& mapping) {
  if (!mapping.build_id.empty()) {
    return mapping.build_id;
  }
  return mapping.inode != 0 ? absl::StrFormat("%x:%d", mapping.device, mapping.inode)
                            : std::string();
}

UniqueFd Duplicate(const UniqueFd& fd) { return UniqueFd(fcntl(fd.get(), F_DUPFD_CLOEXEC, 0)); }

UniqueFd OpenOrNone(const std::string& path) {
  absl::StatusOr<UniqueFd> fd = OpenReadOnly(path, /*regular_only=*/true);
  return fd.ok() ? *std::move(fd) : UniqueFd();
}

// A path leads wherever it leads by now: to a newer version of the library after an upgrade, say.
bool IsTheMappedFile(const UniqueFd& fd, const MappingAdded& mapping) {
  if (!mapping.build_id.empty()) {
    const auto elf = ElfFile::Open(Duplicate(fd), mapping.path);
    return elf.ok() && elf->build_id() == mapping.build_id;
  }
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) {
    return false;
  }
  // Overlay file systems show another device than the one that is mapped: not comparable then.
  return mapping.inode == 0 || info.st_dev != mapping.device || info.st_ino == mapping.inode;
}

bool IsMainProgram(const MappingAdded& mapping) {
  const std::string link = absl::StrFormat("/proc/%d/exe", Number(mapping.pid));
  std::array<char, 4096> text;
  const ssize_t size = readlink(link.c_str(), text.data(), text.size());
  return size > 0 && mapping.path == std::string_view(text.data(), static_cast<size_t>(size));
}

UniqueFd OpenThroughProcess(const MappingAdded& mapping) {
  const int32_t pid = Number(mapping.pid);
  // Needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN; leads to the very file, deleted or not.
  UniqueFd fd = OpenOrNone(absl::StrFormat("/proc/%d/map_files/%x-%x", pid, mapping.start.value(),
                                           (mapping.start + mapping.size).value()));
  if (!fd && IsMainProgram(mapping)) {
    fd = OpenOrNone(absl::StrFormat("/proc/%d/exe", pid));
  }
  if (fd) {
    return fd;
  }
  for (const std::string& path :
       {absl::StrFormat("/proc/%d/root%s", pid, mapping.path), mapping.path}) {
    fd = OpenOrNone(path);
    if (fd && IsTheMappedFile(fd, mapping)) {
      return fd;
    }
  }
  return UniqueFd();
}

}  // namespace

std::shared_ptr<UniqueFd> MappedFileOpener::Open(const MappingAdded& mapping) {
  if (!mapping.path.starts_with("/") || mapping.path.starts_with("//") ||
      mapping.path.starts_with("/dev/zero")) {
    return nullptr;  // [vdso], //anon, shared memory without a name
  }
  const std::string key = KeyOf(mapping);
  if (const auto kept = opened_.find(key); kept != opened_.end()) {
    return std::make_shared<UniqueFd>(Duplicate(kept->second));
  }
  UniqueFd fd = OpenThroughProcess(mapping);
  if (!fd) {
    return nullptr;
  }
  if (!key.empty()) {
    if (opened_.size() >= kMostKept) {
      opened_.clear();
    }
    opened_.emplace(key, Duplicate(fd));
  }
  return std::make_shared<UniqueFd>(std::move(fd));
}

}  // namespace whyslow
