#include "symbolizer/debug_file_finder.h"

#include <absl/strings/str_format.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "base/byte_reader.h"
#include "base/unique_fd.h"

namespace whyslow {
namespace {

struct DebugLink {
  std::string name;
  uint32_t checksum = 0;
};

std::optional<ElfFile> OpenElf(const std::string& path, const RootFolder* root) {
  absl::StatusOr<UniqueFd> fd = OpenReadOnlyIn(root, path, /*regular_only=*/true);
  if (!fd.ok()) {
    return std::nullopt;
  }
  absl::StatusOr<ElfFile> elf = ElfFile::Open(*std::move(fd), path);
  return elf.ok() ? std::optional(*std::move(elf)) : std::nullopt;
}

// Null is our own.
std::vector<const RootFolder*> TreesOf(const DebugPlaces& places) {
  return places.root != nullptr ? std::vector<const RootFolder*>{places.root, nullptr}
                                : std::vector<const RootFolder*>{nullptr};
}

std::optional<DebugLink> ReadDebugLink(const ElfFile& elf) {
  const ElfSection* section = elf.FindSection(".gnu_debuglink");
  if (section == nullptr || section->size > 4096) {
    return std::nullopt;
  }
  const absl::StatusOr<SectionBytes> bytes = elf.ReadSection(*section);
  if (!bytes.ok()) {
    return std::nullopt;
  }
  ByteReader reader(bytes->bytes());
  DebugLink link{.name = std::string(reader.CString())};
  reader.Seek((reader.position() + 3) / 4 * 4);
  link.checksum = reader.U32();
  // A name, not a path: it must not lead out of the folders that are looked into.
  const bool is_name =
      !link.name.empty() && link.name != ".." && link.name.find('/') == std::string::npos;
  return reader.ok() && is_name ? std::optional(link) : std::nullopt;
}

std::optional<uint32_t> ChecksumOf(int fd) {
  std::vector<unsigned char> buffer(size_t{1} << 20);
  uLong sum = crc32(0, nullptr, 0);
  off_t at = 0;
  while (true) {
    const ssize_t got = pread(fd, buffer.data(), buffer.size(), at);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return std::nullopt;
    }
    if (got == 0) {
      return static_cast<uint32_t>(sum);
    }
    sum = crc32(sum, buffer.data(), static_cast<uInt>(got));
    at += got;
  }
}

bool BelongsTo(const ElfFile& elf, const ElfFile& candidate, uint32_t checksum) {
  if (!elf.build_id().empty() && !candidate.build_id().empty()) {
    return elf.build_id() == candidate.build_id();
  }
  return ChecksumOf(candidate.fd()) == checksum;
}

}  // namespace

std::optional<ElfFile> FindByBuildId(std::string_view build_id, const DebugPlaces& places) {
  const bool is_hex = std::ranges::all_of(
      build_id, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  if (build_id.size() < 4 || !is_hex) {
    return std::nullopt;
  }
  for (const RootFolder* root : TreesOf(places)) {
    for (const std::string& folder : places.folders) {
      std::optional<ElfFile> elf = OpenElf(
          absl::StrFormat("%s/.build-id/%s/%s.debug", folder, std::string(build_id.substr(0, 2)),
                          std::string(build_id.substr(2))),
          root);
      if (elf && elf->build_id() == build_id) {
        return elf;
      }
    }
  }
  return std::nullopt;
}

std::optional<ElfFile> FindByDebugLink(const ElfFile& elf, std::string_view path,
                                       const DebugPlaces& places) {
  const std::optional<DebugLink> link = ReadDebugLink(elf);
  const size_t slash = path.rfind('/');
  if (!link || slash == std::string_view::npos) {
    return std::nullopt;
  }
  const std::string directory(path.substr(0, slash));
  std::vector<std::string> candidates{directory + "/" + link->name,
                                      directory + "/.debug/" + link->name};
  for (const std::string& folder : places.folders) {
    candidates.push_back(folder + directory + "/" + link->name);
  }
  for (const std::string& candidate : candidates) {
    std::optional<ElfFile> found = OpenElf(candidate, places.root);
    if (found && BelongsTo(elf, *found, link->checksum)) {
      return found;
    }
  }
  return std::nullopt;
}

std::optional<ElfFile> FindAltFile(const ElfFile& elf, const DebugPlaces& places) {
  const ElfSection* section = elf.FindSection(".gnu_debugaltlink");
  if (section == nullptr || section->size > 4096) {
    return std::nullopt;
  }
  const absl::StatusOr<SectionBytes> bytes = elf.ReadSection(*section);
  if (!bytes.ok()) {
    return std::nullopt;
  }
  // A path, then the build ID as raw bytes up to the end.
  ByteReader reader(bytes->bytes());
  const std::string path(reader.CString());
  std::string build_id;
  while (reader.remaining() > 0) {
    build_id += absl::StrFormat("%02x", reader.U8());
  }
  if (std::optional<ElfFile> found = FindByBuildId(build_id, places)) {
    return found;
  }
  const size_t slash = elf.name().rfind('/');
  const bool is_relative = !path.starts_with('/') && slash != std::string::npos;
  const std::string whole = is_relative ? elf.name().substr(0, slash) + "/" + path : path;
  // Whichever tree `elf` was found in.
  for (const RootFolder* root : TreesOf(places)) {
    std::optional<ElfFile> found = OpenElf(whole, root);
    if (found && !build_id.empty() && found->build_id() == build_id) {
      return found;
    }
  }
  return std::nullopt;
}

}  // namespace whyslow
