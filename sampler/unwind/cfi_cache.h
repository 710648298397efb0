// Compiled unwind tables kept on disk, so that large modules are compiled once and not at each
// attach.
#pragma once

#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/disk_cache.h"
#include "sampler/unwind/cfi_table.h"
#include "sampler/unwind/cfi_table_codec.h"

namespace whyslow {

struct CfiCacheLimits {
  uint64_t max_bytes = uint64_t{512} << 20;  // all files together; a large library has 3 MB
  // Smaller tables are compiled each time: that takes little longer than to open a file.
  size_t fewest_rows = 20'000;
};

// Used by one thread.
class CfiCache {
 public:
  using Limits = CfiCacheLimits;

  // An error where the directory is not safely ours; see DiskCache.
  static absl::StatusOr<std::unique_ptr<CfiCache>> Open(const std::string& directory,
                                                        const Limits& limits = Limits());

  // From the cache, else compiled and put there. Only files with a build ID that nobody but their
  // owner can change are cached. Problems with the disk cost time and nothing else.
  CfiTable TableOf(const ElfFile& elf);

  const std::string& directory() const { return directory_; }
  uint64_t compiled() const { return compiled_; }
  uint64_t loaded() const { return loaded_; }
  // The first failure to write; empty: none.
  const std::string& problem() const { return problem_; }

 private:
  CfiCache(std::string directory, DiskCache files, const Limits& limits)
      : directory_(std::move(directory)), files_(std::move(files)), limits_(limits) {}
  std::optional<CfiTable> Load(const CfiTableKey& key);
  void Store(const CfiTableKey& key, const CfiTable& table);

  std::string directory_;
  DiskCache files_;
  Limits limits_;
  uint64_t compiled_ = 0;
  uint64_t loaded_ = 0;
  std::string problem_;
};

// nullopt: the module's table is not to be cached.
std::optional<CfiTableKey> CacheKeyOf(const ElfFile& elf);
// What the table is called in the cache.
std::string CacheName(const CfiTableKey& key);

}  // namespace whyslow
