// Names that were found in an earlier run, kept on disk, so that large debug files are not read
// again for the same addresses.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/disk_cache.h"
#include "base/time.h"
#include "elf/elf_file.h"
#include "symbolizer/known_names.h"

namespace whyslow {

// All that the names of a module depend on. Two keys are equal only where nothing can have changed:
// the program that runs, the files with their build IDs, sizes, inodes and times, and where
// debug files were looked for.
class NamesKey {
 public:
  NamesKey(std::span<const std::string> debug_folders, bool asks_debuginfod);

  // A file that names come from, null where there is none; always in the same order.
  void AddFile(const ElfFile* file);

  // False when a file cannot be told from a later one: it has no descriptor (the vdso).
  bool usable() const { return usable_; }
  const std::string& text() const { return text_; }
  // Of the file that changed last, CLOCK_REALTIME.
  int64_t last_change_nanos() const { return last_change_nanos_; }
  // Under which the cache keeps the names: the build ID's beginning and a hash of the text.
  std::string FileName() const;

 private:
  std::string text_;
  std::string build_id_;
  int64_t last_change_nanos_ = 0;
  bool usable_ = true;
};

// What a search in the files gave.
struct FoundNames {
  NamedAddresses names;
  bool may_be_kept = true;
};

// Thread-safe.
class NamesCache {
 public:
  // Names out of files that changed less than `settling` ago are not kept: the clock of a file
  // system is coarse, and one more change could get the same time.
  explicit NamesCache(DiskCache disk, Nanoseconds settling = std::chrono::seconds(2))
      : disk_(std::move(disk)), settling_(settling) {}

  static absl::StatusOr<std::unique_ptr<NamesCache>> Open(const std::string& folder);

  // Names for all of `wanted` (sorted, no duplicates): from the cache, and by `search` for those
  // addresses that it does not have, which it then has the next time. `make_key` is called again
  // after the search, to see whether the files have changed meanwhile.
  NamedAddresses Find(const std::vector<uint64_t>& wanted,
                      const std::function<NamesKey()>& make_key,
                      const std::function<FoundNames(const std::vector<uint64_t>&)>& search) const;

 private:
  bool HasSettled(const NamesKey& key) const;
  void Keep(const NamesKey& key, const KnownNames& known, std::span<const uint64_t> missing,
            const NamedAddresses& found) const;

  DiskCache disk_;
  Nanoseconds settling_;
};

}  // namespace whyslow
