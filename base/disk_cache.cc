#include "base/disk_cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <memory>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "base/byte_reader.h"
#include "base/status.h"

namespace whyslow {
namespace {

constexpr std::string_view kMagic = "whyslowC";
constexpr size_t kHeaderBytes = 8 + 8 + 4;  // magic, size of the content, checksum
constexpr size_t kMaxName = 200;
// What a process that was killed while it wrote has left.
constexpr time_t kAbandonedSeconds = 3600;

// Of the name too: a file that was renamed holds the content of another one.
uint32_t ChecksumOf(std::string_view name, uint64_t size, std::string_view content) {
  const auto add = [](uLong sum, std::string_view bytes) {
    return crc32_z(sum, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
  };
  uLong sum = add(crc32_z(0, nullptr, 0), name);
  sum = add(sum, {reinterpret_cast<const char*>(&size), sizeof(size)});
  return static_cast<uint32_t>(add(sum, content));
}

bool IsPlainName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxName && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  });
}

bool OthersMayWrite(const struct stat& info) { return (info.st_mode & (S_IWGRP | S_IWOTH)) != 0; }

absl::Status Refused(std::string_view what, std::string_view why) {
  return MakeStatus(absl::StatusCode::kPermissionDenied,
                    std::string(what) + ": " + std::string(why));
}

// The folder above: whoever owns it can put another folder in place of ours, which the checks of
// that one find, and can make us create a folder elsewhere, which only this finds.
absl::Status MakeFolder(const std::string& folder, uid_t owner) {
  const std::filesystem::path parent = std::filesystem::path(folder).parent_path();
  struct stat info {};
  if (stat(parent.c_str(), &info) != 0) {
    if (errno != ENOENT || (mkdir(parent.c_str(), 0700) != 0 && errno != EEXIST) ||
        stat(parent.c_str(), &info) != 0) {
      return ErrnoStatus(errno, parent.string());
    }
  }
  const bool is_sticky = (info.st_mode & S_ISVTX) != 0;
  if ((info.st_uid != owner && info.st_uid != 0) || (OthersMayWrite(info) && !is_sticky)) {
    return Refused(parent.string(), "others can replace what lies in it");
  }
  if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return ErrnoStatus(errno, folder);
  }
  return absl::OkStatus();
}

absl::Status WriteAll(int fd, std::string_view bytes, const std::string& file) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno != EINTR) {
      return ErrnoStatus(errno, file);
    }
    bytes.remove_prefix(static_cast<size_t>(std::max<ssize_t>(written, 0)));
  }
  return absl::OkStatus();
}

absl::Status ReadAll(int fd, uint64_t offset, std::span<char> into, const std::string& file) {
  while (!into.empty()) {
    const ssize_t got = pread(fd, into.data(), into.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return ErrnoStatus(errno, file);
    }
    if (got == 0) {
      return MakeStatus(absl::StatusCode::kDataLoss, file + ": it was cut short");
    }
    offset += static_cast<uint64_t>(got);
    into = into.subspan(static_cast<size_t>(got));
  }
  return absl::OkStatus();
}

struct DirectoryCloser {
  void operator()(DIR* directory) const { closedir(directory); }
};

struct KeptFile {
  timespec used{};
  std::string name;
  uint64_t bytes = 0;
};

}  // namespace

absl::StatusOr<DiskCache> DiskCache::Open(const std::string& folder, std::string kind,
                                          uint64_t max_bytes, uid_t owner) {
  RETURN_IF_ERROR(MakeFolder(folder, owner));
  UniqueFd fd(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat info {};
  if (!fd || fstat(fd.get(), &info) != 0) {
    return ErrnoStatus(errno, folder);
  }
  if (info.st_uid != owner || (info.st_mode & 0077) != 0) {
    return Refused(folder, "it is not its user's alone (mode 0700)");
  }
  return DiskCache(std::move(fd), std::move(kind), max_bytes, owner);
}

absl::StatusOr<std::string> DiskCache::FolderOfUser() {
  const auto full_path = [](const char* variable) {
    const char* value = std::getenv(variable);
    return std::string(value != nullptr && *value == '/' ? value : "");
  };
  const std::string cache_home = full_path("XDG_CACHE_HOME");
  const std::string base = cache_home.empty() ? full_path("HOME") : cache_home;
  if (base.empty()) {
    return MakeStatus(absl::StatusCode::kNotFound,
                      "neither XDG_CACHE_HOME nor HOME is a full path");
  }
  struct stat info {};
  if (stat(base.c_str(), &info) != 0) {
    return ErrnoStatus(errno, base);
  }
  if (info.st_uid != geteuid()) {
    return Refused(base, "it belongs to user " + std::to_string(info.st_uid));
  }
  return base + (cache_home.empty() ? "/.cache/whyslow" : "/whyslow");
}

absl::StatusOr<std::string> DiskCache::FileName(std::string_view name) const {
  if (!IsPlainName(name)) {
    return MakeStatus(absl::StatusCode::kInvalidArgument, "no name for a file of the cache");
  }
  return kind_ + "-" + std::string(name);
}

absl::StatusOr<UniqueFd> DiskCache::OpenChecked(const std::string& file) const {
  UniqueFd fd(openat(folder_.get(), file.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  struct stat info {};
  if (!fd || fstat(fd.get(), &info) != 0) {
    return ErrnoStatus(errno, file);
  }
  if (!S_ISREG(info.st_mode) || info.st_uid != owner_ || (info.st_mode & 0077) != 0) {
    return Refused(file, "it is not its user's alone (mode 0600)");
  }
  return fd;
}

absl::StatusOr<std::string> DiskCache::Read(std::string_view name) const {
  ASSIGN_OR_RETURN(const std::string file, FileName(name));
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenChecked(file));
  std::array<char, kHeaderBytes> header{};
  RETURN_IF_ERROR(ReadAll(fd.get(), 0, header, file));
  ByteReader reader(std::as_bytes(std::span(header)));
  const std::span<const std::byte> magic = reader.Block(kMagic.size());
  const uint64_t size = reader.U64();
  const uint32_t checksum = reader.U32();
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) {
    return ErrnoStatus(errno, file);
  }
  if (std::memcmp(magic.data(), kMagic.data(), kMagic.size()) != 0 || size > max_bytes_ ||
      static_cast<uint64_t>(info.st_size) != size + kHeaderBytes) {
    return MakeStatus(absl::StatusCode::kDataLoss, file + ": not as it was written");
  }
  std::string content(size, '\0');
  RETURN_IF_ERROR(ReadAll(fd.get(), kHeaderBytes, content, file));
  if (ChecksumOf(file, size, content) != checksum) {
    return MakeStatus(absl::StatusCode::kDataLoss, file + ": not as it was written");
  }
  futimens(fd.get(), nullptr);  // it has been used; where that fails it only goes earlier
  return content;
}

absl::Status DiskCache::Write(std::string_view name, std::string_view content) const {
  ASSIGN_OR_RETURN(const std::string file, FileName(name));
  if (content.size() + kHeaderBytes > max_bytes_) {
    return MakeStatus(absl::StatusCode::kResourceExhausted, file + ": larger than all may be");
  }
  uint64_t random = 0;
  if (getrandom(&random, sizeof(random), 0) != sizeof(random)) {
    return ErrnoStatus(errno, "random numbers");
  }
  const std::string temporary = "." + kind_ + "-" + std::to_string(random);
  absl::Status status = WriteTemporary(temporary, file, content);
  if (!status.ok()) {
    unlinkat(folder_.get(), temporary.c_str(), 0);
    return status;
  }
  RemoveOldest();
  return absl::OkStatus();
}

absl::Status DiskCache::WriteTemporary(const std::string& temporary, const std::string& file,
                                       std::string_view content) const {
  UniqueFd fd(openat(folder_.get(), temporary.c_str(),
                     O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) {
    return ErrnoStatus(errno, temporary);
  }
  const uint64_t size = content.size();
  const uint32_t checksum = ChecksumOf(file, size, content);
  std::string header(kMagic);
  header.append(reinterpret_cast<const char*>(&size), sizeof(size));
  header.append(reinterpret_cast<const char*>(&checksum), sizeof(checksum));
  RETURN_IF_ERROR(WriteAll(fd.get(), header, temporary));
  RETURN_IF_ERROR(WriteAll(fd.get(), content, temporary));
  // No fsync: what a power cut damages is found by its checksum and made again.
  if (close(fd.Release()) != 0 && errno != EINTR) {
    return ErrnoStatus(errno, temporary);
  }
  if (renameat(folder_.get(), temporary.c_str(), folder_.get(), file.c_str()) != 0) {
    return ErrnoStatus(errno, file);
  }
  return absl::OkStatus();
}

void DiskCache::RemoveOldest() const {
  UniqueFd fd(openat(folder_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const std::unique_ptr<DIR, DirectoryCloser> directory(fd ? fdopendir(fd.get()) : nullptr);
  if (directory == nullptr) {
    return;
  }
  static_cast<void>(fd.Release());  // the directory's now
  std::vector<KeptFile> files;
  uint64_t total = 0;
  // NOLINTNEXTLINE(concurrency-mt-unsafe): each call has a stream of its own
  while (const dirent* entry = readdir(directory.get())) {
    const std::string_view name(entry->d_name);
    struct stat info {};
    const bool is_temporary = name.starts_with("." + kind_ + "-");
    if ((!is_temporary && !name.starts_with(kind_ + "-")) ||
        fstatat(folder_.get(), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) {
      continue;
    }
    if (is_temporary) {
      if (info.st_mtim.tv_sec + kAbandonedSeconds < time(nullptr)) {
        unlinkat(folder_.get(), entry->d_name, 0);
      }
      continue;
    }
    files.push_back({info.st_mtim, std::string(name), static_cast<uint64_t>(info.st_size)});
    total += files.back().bytes;
  }
  std::ranges::sort(files, {}, [](const KeptFile& file) {
    return std::tuple(file.used.tv_sec, file.used.tv_nsec, std::string_view(file.name));
  });
  for (const KeptFile& file : files) {
    if (total <= max_bytes_) {
      return;
    }
    unlinkat(folder_.get(), file.name.c_str(), 0);
    total -= file.bytes;
  }
}

}  // namespace whyslow
