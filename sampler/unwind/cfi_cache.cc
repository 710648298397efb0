#include "sampler/unwind/cfi_cache.h"

#include <absl/strings/str_format.h>
#include <sys/stat.h>

#include <utility>

#include "base/status.h"

namespace whyslow {
namespace {

constexpr char kKind[] = "unwind";
// Build IDs are hashes of 8 to 32 bytes (16 to 64 digits); what is shorter may not tell files
// apart.
constexpr size_t kFewestDigits = 16;
constexpr size_t kMostDigits = 128;

}  // namespace

std::optional<CfiTableKey> CacheKeyOf(const ElfFile& elf) {
  const std::string& id = elf.build_id();
  const bool is_usable = id.size() >= kFewestDigits && id.size() <= kMostDigits &&
                         id.find_first_not_of("0123456789abcdef") == std::string::npos;
  struct stat info {};
  if (!is_usable || elf.fd() < 0 || fstat(elf.fd(), &info) != 0 ||
      (info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return std::nullopt;
  }
  return CfiTableKey{
      .build_id = id, .file_size = elf.file_size(), .owner = info.st_uid, .machine = elf.machine()};
}

std::string CacheName(const CfiTableKey& key) {
  return absl::StrFormat("%s-%d-%d-v%d", key.build_id, key.file_size, key.owner, kCfiTableVersion);
}

absl::StatusOr<std::unique_ptr<CfiCache>> CfiCache::Open(const std::string& directory,
                                                         const Limits& limits) {
  ASSIGN_OR_RETURN(DiskCache files, DiskCache::Open(directory, kKind, limits.max_bytes));
  return std::unique_ptr<CfiCache>(new CfiCache(directory, std::move(files), limits));
}

std::optional<CfiTable> CfiCache::Load(const CfiTableKey& key) {
  const absl::StatusOr<std::string> content = files_.Read(CacheName(key));
  if (!content.ok()) {
    return std::nullopt;
  }
  return DecodeCfiTable(std::as_bytes(std::span(content->data(), content->size())), key);
}

void CfiCache::Store(const CfiTableKey& key, const CfiTable& table) {
  const absl::Status status = files_.Write(CacheName(key), EncodeCfiTable(table, key));
  if (!status.ok() && problem_.empty()) {
    problem_ = std::string(status.message());
  }
}

CfiTable CfiCache::TableOf(const ElfFile& elf) {
  const std::optional<CfiTableKey> key = CacheKeyOf(elf);
  if (key) {
    if (std::optional<CfiTable> table = Load(*key)) {
      ++loaded_;
      return *std::move(table);
    }
  }
  ++compiled_;
  CfiTable table = CfiTable::FromElf(elf);
  if (key && table.row_count() >= limits_.fewest_rows) {
    Store(*key, table);
  }
  return table;
}

}  // namespace whyslow
