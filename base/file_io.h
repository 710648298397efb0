// Whole files in, whole files out: a reader never sees half of what we write.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstddef>
#include <functional>
#include <ostream>
#include <string>

namespace whyslow {

// Reads to the end, at most `limit` bytes (more is an error). Works for /proc files, whose size is
// 0.
absl::StatusOr<std::string> ReadFile(const std::string& path, size_t limit = size_t{1} << 31);

// The same from a descriptor's beginning (pread; the descriptor's own position is left alone).
absl::StatusOr<std::string> ReadFd(int fd, const std::string& name, size_t limit = size_t{1} << 31);

// What a symbolic link says, also one of /proc; empty: there is none, or it may not be read.
std::string ReadLink(const std::string& path);

// Calls `write` with a stream into a new file beside `path` (mode 0600) and, when all went well,
// renames it to `path`. On any failure (also a full disk, found at the latest at the end) nothing
// of it is left and what was at `path` before is untouched. Devices and pipes (/dev/stdout, a FIFO)
// are written to directly.
absl::Status WriteFileAtomically(const std::string& path,
                                 const std::function<absl::Status(std::ostream&)>& write);

// True for what exists at `path` and is neither a file nor a folder: it is written to, never
// replaced.
bool IsPipeOrDevice(const std::string& path);

}  // namespace whyslow
