#include "sampler/perf/mapped_file_opener.h"

#include <absl/strings/str_format.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "base/file_io.h"

namespace whyslow {
namespace {

constexpr size_t kMostKept = 256;

std::string KeyOf(const MappingAdded& mapping) {
  return mapping.inode != 0 ? absl::StrFormat("%x:%d", mapping.device, mapping.inode)
                            : std::string();
}

UniqueFd Duplicate(const UniqueFd& fd) { return UniqueFd(fcntl(fd.get(), F_DUPFD_CLOEXEC, 0)); }

UniqueFd OpenOrNone(const std::string& path) {
  absl::StatusOr<UniqueFd> fd = OpenReadOnly(path, /*regular_only=*/true);
  return fd.ok() ? *std::move(fd) : UniqueFd();
}

enum class Proof : uint8_t {
  kPath,  // the path is the process's own; only what contradicts it counts
  kFile,  // the path may lead to a namesake
};

// A path leads wherever it leads by now: to a newer version of the library after an upgrade, say.
bool IsTheMappedFile(const UniqueFd& fd, const MappingAdded& mapping, Proof proof) {
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) {
    return false;
  }
  if (proof == Proof::kFile) {
    return mapping.inode != 0 && info.st_dev == mapping.device && info.st_ino == mapping.inode;
  }
  // Overlay file systems show another device than the one that is mapped: not comparable then.
  return mapping.inode == 0 || info.st_dev != mapping.device || info.st_ino == mapping.inode;
}

// Which tree of files a process sees; empty when we may not look.
std::string RootKeyOf(const std::string& process) {
  struct stat info {};
  const std::string mounts = ReadLink("/proc/" + process + "/ns/mnt");
  if (mounts.empty() || stat(("/proc/" + process + "/root/.").c_str(), &info) != 0) {
    return {};
  }
  return absl::StrFormat("%s %x:%d", mounts, info.st_dev, info.st_ino);
}

bool IsMainProgram(const MappingAdded& mapping) {
  return mapping.path == ReadLink(absl::StrFormat("/proc/%d/exe", Number(mapping.pid)));
}

UniqueFd OpenThroughProcess(const MappingAdded& mapping, const RootFolder* root) {
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
  if (root != nullptr) {
    absl::StatusOr<UniqueFd> inside = root->OpenReadOnly(mapping.path, /*regular_only=*/true);
    if (inside.ok() && IsTheMappedFile(*inside, mapping, Proof::kPath)) {
      return *std::move(inside);
    }
  }
  fd = OpenOrNone(mapping.path);
  const Proof proof = root != nullptr ? Proof::kFile : Proof::kPath;
  return fd && IsTheMappedFile(fd, mapping, proof) ? std::move(fd) : UniqueFd();
}

// Of a chroot /proc/PID/maps tells paths as we see them, records of the kernel as the process does.
void MakeOwnPath(MappingAdded& mapping, const std::string& root) {
  if (root.size() > 1 && mapping.path.starts_with(root + "/")) {
    mapping.path.erase(0, root.size());
  }
}

}  // namespace

MappedFileOpener::Root MappedFileOpener::RootOf(Pid pid) {
  static const std::string kOurs = RootKeyOf("self");
  const std::string process = std::to_string(Number(pid));
  const std::string key = RootKeyOf(process);
  if (key.empty() || key == kOurs) {
    return {};
  }
  if (const auto known = roots_.find(key); known != roots_.end()) {
    return known->second;
  }
  absl::StatusOr<RootFolder> folder = RootFolder::Of(pid);
  if (!folder.ok()) {
    return {};
  }
  if (roots_.size() >= kMostKept) {
    roots_.clear();
  }
  return roots_[key] = {.folder = std::make_shared<const RootFolder>(*std::move(folder)),
                        .path = ReadLink("/proc/" + process + "/root")};
}

void MappedFileOpener::Open(MappingAdded& mapping) {
  if (!mapping.path.starts_with("/") || mapping.path.starts_with("//") ||
      mapping.path.starts_with("/dev/zero")) {
    return;  // [vdso], //anon, shared memory without a name
  }
  const std::string key = KeyOf(mapping);
  if (const auto kept = opened_.find(key); kept != opened_.end()) {
    mapping.file = std::make_shared<UniqueFd>(Duplicate(kept->second.file));
    mapping.root = kept->second.root.folder;
    MakeOwnPath(mapping, kept->second.root.path);
    return;
  }
  Root root = RootOf(mapping.pid);
  UniqueFd fd = OpenThroughProcess(mapping, root.folder.get());
  mapping.root = root.folder;
  MakeOwnPath(mapping, root.path);
  if (!fd) {
    return;
  }
  if (!key.empty()) {
    if (opened_.size() >= kMostKept) {
      opened_.clear();
    }
    opened_.emplace(key, Opened{.file = Duplicate(fd), .root = std::move(root)});
  }
  mapping.file = std::make_shared<UniqueFd>(std::move(fd));
}

}  // namespace whyslow
