#include "base/disk_cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "base/file_io.h"
#include "base/status.h"

namespace whyslow {
namespace {

constexpr mode_t kOnlyOwner = 0700;
constexpr mode_t kOthersMayWrite = S_IWGRP | S_IWOTH;
// What a writer that was killed leaves behind (see WriteFileAtomically).
constexpr std::string_view kUnfinished = ".whyslow.";
constexpr time_t kUnfinishedSeconds = 3600;

struct CachedFile {
  std::string name;
  uint64_t size = 0;
  timespec used{};  // the time of change: that of access is not kept up to date everywhere
  bool is_unfinished = false;
};

absl::Status Refused(std::string_view path, std::string_view why) {
  return MakeStatus(absl::StatusCode::kFailedPrecondition,
                    std::string(path) + ": " + std::string(why));
}

absl::Status CheckIsOurs(const struct stat& info, std::string_view path) {
  if (info.st_uid != geteuid()) {
    return Refused(path, "it belongs to user " + std::to_string(info.st_uid));
  }
  if ((info.st_mode & kOthersMayWrite) != 0) {
    return Refused(path, "others may write to it");
  }
  return absl::OkStatus();
}

std::vector<CachedFile> ListFiles(int directory, std::string_view suffix) {
  std::vector<CachedFile> files;
  // A descriptor of its own: fdopendir takes it, and the position is the listing's.
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(
      fdopendir(openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)),
      [](DIR* open) { return open != nullptr ? closedir(open) : 0; });
  while (listing != nullptr) {
    const dirent* entry = readdir(listing.get());
    if (entry == nullptr) {
      break;
    }
    const std::string_view name = entry->d_name;
    const bool is_unfinished = name.starts_with(kUnfinished);
    struct stat info {};
    if ((is_unfinished || name.ends_with(suffix)) &&
        fstatat(directory, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISREG(info.st_mode)) {
      files.push_back({.name = std::string(name),
                       .size = static_cast<uint64_t>(info.st_size),
                       .used = info.st_mtim,
                       .is_unfinished = is_unfinished});
    }
  }
  return files;
}

}  // namespace

absl::StatusOr<DiskCache> DiskCache::Open(const std::string& directory, std::string suffix,
                                          uint64_t max_bytes) {
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  UniqueFd fd(open(directory.c_str(), kFlags));
  if (!fd && errno == ENOENT && (mkdir(directory.c_str(), kOnlyOwner) == 0 || errno == EEXIST)) {
    fd = UniqueFd(open(directory.c_str(), kFlags));
  }
  if (!fd) {
    return ErrnoStatus(errno, directory);
  }
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) {
    return ErrnoStatus(errno, directory);
  }
  RETURN_IF_ERROR(CheckIsOurs(info, directory));
  return DiskCache(directory, std::move(fd), std::move(suffix), max_bytes);
}

absl::StatusOr<std::string> DiskCache::Load(const std::string& name) {
  const std::string path = directory_ + "/" + name;
  const UniqueFd fd(
      openat(fd_.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!fd) {
    return ErrnoStatus(errno, path);
  }
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) {
    return ErrnoStatus(errno, path);
  }
  if (!S_ISREG(info.st_mode)) {
    return Refused(path, "it is no file");
  }
  RETURN_IF_ERROR(CheckIsOurs(info, path));
  const auto size = static_cast<uint64_t>(info.st_size);
  if (size > max_bytes_) {
    return Refused(path, "it is too large");
  }
  // Of the size that it has now. Should somebody change it meanwhile, its reader finds it damaged.
  std::string content(size, '\0');
  size_t got = 0;
  while (got < content.size()) {
    const ssize_t count =
        pread(fd.get(), content.data() + got, content.size() - got, static_cast<off_t>(got));
    if (count < 0 && errno != EINTR) {
      return ErrnoStatus(errno, path);
    }
    if (count == 0) {
      return Refused(path, "it was cut short while it was read");
    }
    got += count > 0 ? static_cast<size_t>(count) : 0;
  }
  futimens(fd.get(), nullptr);  // on a read-only file system the order of use is not kept
  return content;
}

absl::Status DiskCache::Store(const std::string& name, std::string_view content) {
  WHYSLOW_CHECK(name.find('/') == std::string::npos && name.ends_with(suffix_));
  if (content.size() > max_bytes_) {
    return Refused(directory_ + "/" + name, "it is larger than the whole cache may be");
  }
  const std::string path = "/proc/self/fd/" + std::to_string(fd_.get()) + "/" + name;
  // Of a link or a pipe the name is wanted, not what it leads to.
  struct stat info {};
  if (fstatat(fd_.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(info.st_mode)) {
    Remove(name);
  }
  absl::Status status = WriteFileAtomically(path, [content](std::ostream& out) {
    out.write(content.data(), static_cast<std::streamsize>(content.size()));
    return absl::OkStatus();
  });
  RemoveOldest(name);
  if (!status.ok()) {
    return MakeStatus(status.code(), directory_ + ": " + std::string(status.message()));
  }
  return status;
}

void DiskCache::Remove(const std::string& name) { unlinkat(fd_.get(), name.c_str(), 0); }

void DiskCache::RemoveOldest(const std::string& keep) {
  std::vector<CachedFile> files = ListFiles(fd_.get(), suffix_);
  std::ranges::sort(files, {}, [](const CachedFile& file) {
    return std::tuple(file.used.tv_sec, file.used.tv_nsec, file.name);
  });
  uint64_t total = 0;
  for (const CachedFile& file : files) {
    total += file.size;
  }
  const time_t now = time(nullptr);
  for (const CachedFile& file : files) {
    const bool is_left_over = file.is_unfinished && now - file.used.tv_sec > kUnfinishedSeconds;
    const bool is_too_much = !file.is_unfinished && total > max_bytes_ && file.name != keep;
    if (is_left_over || is_too_much) {
      Remove(file.name);
      total -= file.size;
    }
  }
}

absl::StatusOr<std::string> UserCacheDirectory(std::string_view program) {
  const char* cache_home = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  const bool has_cache_home = cache_home != nullptr && cache_home[0] == '/';
  if (!has_cache_home && (home == nullptr || home[0] != '/')) {
    return MakeStatus(absl::StatusCode::kFailedPrecondition, "HOME is not set");
  }
  std::string base = has_cache_home ? cache_home : home;
  struct stat info {};
  if (stat(base.c_str(), &info) != 0) {
    return ErrnoStatus(errno, base);
  }
  if (info.st_uid != geteuid()) {
    return Refused(base, "it belongs to user " + std::to_string(info.st_uid));
  }
  if (!has_cache_home) {
    base += "/.cache";
    if (mkdir(base.c_str(), kOnlyOwner) != 0 && errno != EEXIST) {
      return ErrnoStatus(errno, base);
    }
  }
  return base + "/" + std::string(program);
}

}  // namespace whyslow
