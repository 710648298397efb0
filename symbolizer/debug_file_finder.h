// Finds the file that holds the debug information of a stripped one.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/root_folder.h"
#include "elf/elf_file.h"

namespace whyslow {

// Where to look.
struct DebugPlaces {
  std::span<const std::string> folders;  // such as /usr/lib/debug
  // The tree of files that the program sees, where that is another than ours: its folders are asked
  // first, then our own.
  const RootFolder* root = nullptr;
};

// FOLDER/.build-id/xx/yyyy.debug for each folder; the file's own build ID must be the same.
std::optional<ElfFile> FindByBuildId(std::string_view build_id, const DebugPlaces& places);

// The file that .gnu_debuglink of `elf` names: beside `path`, in its .debug folder, or under one of
// the folders at the same place, all in the tree of the program. Its checksum (or build ID) must
// agree.
std::optional<ElfFile> FindByDebugLink(const ElfFile& elf, std::string_view path,
                                       const DebugPlaces& places);

// The file that dwz moved common debug information of several files to (.gnu_debugaltlink of
// `elf`).
std::optional<ElfFile> FindAltFile(const ElfFile& elf, const DebugPlaces& places);

}  // namespace whyslow
