#include "symbolizer/names_cache.h"

#include <absl/strings/str_format.h>
#include <sys/stat.h>

#include <algorithm>
#include <ctime>
#include <iterator>

#include "base/status.h"

namespace whyslow {
namespace {

// Raised whenever the form of the file, or the names that we find in the same files, change.
constexpr int kFormat = 1;
constexpr uint64_t kMaxBytes = uint64_t{512} << 20;     // all modules together
constexpr uint64_t kMaxFileBytes = uint64_t{64} << 20;  // one module
constexpr int64_t kNanosPerSecond = 1'000'000'000;

int64_t NanosOf(const timespec& time) { return time.tv_sec * kNanosPerSecond + time.tv_nsec; }

uint64_t HashOf(std::string_view text) {  // FNV-1a: equal on every machine and in every run
  uint64_t hash = 0xCBF29CE484222325;
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3;
  }
  return hash;
}

// Not the device: an overlay has another one in each container. The time of the inode's last
// change, which nobody can set, tells files apart that are alike in all else.
std::string IdentityText(const struct stat& info) {
  return absl::StrFormat("%d bytes, inode %d, modified %d, changed %d\n", info.st_size, info.st_ino,
                         NanosOf(info.st_mtim), NanosOf(info.st_ctim));
}

std::vector<uint64_t> Without(const std::vector<uint64_t>& wanted,
                              const std::vector<uint64_t>& known) {
  std::vector<uint64_t> missing;
  std::ranges::set_difference(wanted, known, std::back_inserter(missing));
  return missing;
}

}  // namespace

NamesKey::NamesKey(std::span<const std::string> debug_folders, bool asks_debuginfod)
    : text_(absl::StrFormat("format %d\n", kFormat)) {
  // Another version, or a build of our own with a change in it, may find other names.
  struct stat info {};
  usable_ = stat("/proc/self/exe", &info) == 0;
  text_ += "program " + IdentityText(info);
  for (const std::string& folder : debug_folders) {
    text_ += "debug folder " + folder + "\n";
  }
  text_ += asks_debuginfod ? "debuginfod yes\n" : "debuginfod no\n";
}

void NamesKey::AddFile(const ElfFile* file) {
  if (file == nullptr) {
    text_ += "no file\n";
    return;
  }
  struct stat info {};
  if (file->fd() < 0 || fstat(file->fd(), &info) != 0) {
    usable_ = false;
    return;
  }
  text_ += "file " + file->build_id() + " " + IdentityText(info);
  last_change_nanos_ = std::max({last_change_nanos_, NanosOf(info.st_mtim), NanosOf(info.st_ctim)});
  if (build_id_.empty()) {
    build_id_ = file->build_id().substr(0, 16);
  }
}

std::string NamesKey::FileName() const {
  return absl::StrFormat("%s-%016x", build_id_.empty() ? "none" : build_id_, HashOf(text_));
}

absl::StatusOr<std::unique_ptr<NamesCache>> NamesCache::Open(const std::string& folder) {
  ASSIGN_OR_RETURN(DiskCache disk, DiskCache::Open(folder, "names", kMaxBytes));
  return std::make_unique<NamesCache>(std::move(disk));
}

bool NamesCache::HasSettled(const NamesKey& key) const {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return key.last_change_nanos() + settling_.count() <= NanosOf(now);
}

NamedAddresses NamesCache::Find(
    const std::vector<uint64_t>& wanted, const std::function<NamesKey()>& make_key,
    const std::function<FoundNames(const std::vector<uint64_t>&)>& search) const {
  const NamesKey key = make_key();
  if (!key.usable()) {
    return search(wanted).names;
  }
  KnownNames known;
  if (absl::StatusOr<std::string> bytes = disk_.Read(key.FileName()); bytes.ok()) {
    known = KnownNames::Unpack(*std::move(bytes), key.text()).value_or(KnownNames());
  }
  const std::vector<uint64_t> missing = Without(wanted, known.addresses());
  FoundNames found;
  if (!missing.empty()) {
    found = search(missing);
    if (found.may_be_kept && HasSettled(key) && make_key().text() == key.text()) {
      Keep(key, known, missing, found.names);
    }
  }
  return JoinNames(wanted, known, missing, found.names);
}

void NamesCache::Keep(const NamesKey& key, const KnownNames& known,
                      std::span<const uint64_t> missing, const NamedAddresses& found) const {
  std::vector<uint64_t> all;
  std::ranges::set_union(known.addresses(), missing, std::back_inserter(all));
  std::string packed = KnownNames::Pack(key.text(), all, JoinNames(all, known, missing, found));
  if (packed.empty() || packed.size() > kMaxFileBytes) {
    // What was wanted last is more likely to be wanted again than what came earlier.
    packed = KnownNames::Pack(key.text(), missing, found);
  }
  if (!packed.empty() && packed.size() <= kMaxFileBytes) {
    // Nothing depends on it: the next run searches again.
    disk_.Write(key.FileName(), packed).IgnoreError();
  }
}

}  // namespace whyslow
