// Finds the file that holds the debug information of a stripped one.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "elf/elf_file.h"

namespace whyslow {

// FOLDER/.build-id/xx/yyyy.debug for each folder; the file's own build ID must be the same.
std::optional<ElfFile> FindByBuildId(std::string_view build_id,
                                     std::span<const std::string> folders);

// The file that .gnu_debuglink of `elf` names: beside `path`, in its .debug folder, or under one of
// `folders` at the same place. Its checksum (or build ID) must agree.
std::optional<ElfFile> FindByDebugLink(const ElfFile& elf, std::string_view path,
                                       std::span<const std::string> folders);

// The file that dwz moved common debug information of several files to (.gnu_debugaltlink of
// `elf`).
std::optional<ElfFile> FindAltFile(const ElfFile& elf, std::span<const std::string> folders);

}  // namespace whyslow
