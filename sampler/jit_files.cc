#include "sampler/jit_files.h"

#include <absl/strings/str_format.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "base/file_io.h"

namespace whyslow {
namespace {

constexpr size_t kMaxMap = size_t{256} << 20;
constexpr size_t kMaxDump = size_t{1} << 30;  // holds the code itself, too

// The number that the process has itself, in the innermost namespace.
int OwnNumber(Pid pid) {
  const absl::StatusOr<std::string> status =
      ReadFile(absl::StrFormat("/proc/%d/status", Number(pid)));
  const size_t line = status.ok() ? status->find("\nNSpid:") : std::string::npos;
  if (line == std::string::npos) {
    return Number(pid);
  }
  const size_t last_tab = status->rfind('\t', status->find('\n', line + 1));
  return std::atoi(status->c_str() + last_tab + 1);
}

bool IsDumpName(std::string_view name) {
  constexpr std::string_view kStart = "jit-", kEnd = ".dump";
  if (!name.starts_with(kStart) || !name.ends_with(kEnd)) {
    return false;
  }
  name.remove_prefix(kStart.size());
  name.remove_suffix(std::min(kEnd.size(), name.size()));
  return !name.empty() && name.find_first_not_of("0123456789") == std::string_view::npos;
}

// Runtimes map their dump with the right to execute, so that profilers notice: the path of a
// mapping of a file called jit-NUMBER.dump.
std::string DumpPath(Pid pid) {
  const absl::StatusOr<std::string> maps = ReadFile(absl::StrFormat("/proc/%d/maps", Number(pid)));
  if (!maps.ok()) {
    return {};
  }
  std::string_view rest = *maps;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    const size_t path = line.find('/');
    if (path != std::string_view::npos && IsDumpName(line.substr(line.rfind('/') + 1))) {
      return std::string(line.substr(path));
    }
  }
  return {};
}

// In the mount namespace of the process. Nothing but a regular file: what it names is not trusted.
UniqueFd OpenIn(Pid pid, const std::string& path) {
  absl::StatusOr<UniqueFd> fd =
      OpenReadOnly(absl::StrFormat("/proc/%d/root%s", Number(pid), path), /*regular_only=*/true);
  return fd.ok() ? *std::move(fd) : UniqueFd();
}

std::string ReadIfOpen(const UniqueFd& fd, const std::string& name, size_t limit) {
  if (!fd) {
    return {};
  }
  absl::StatusOr<std::string> content = ReadFd(fd.get(), name, limit);
  return content.ok() ? *std::move(content) : std::string();
}

}  // namespace

void JitFiles::OpenMissing() {
  if (!map_) {
    map_ = OpenIn(pid_, absl::StrFormat("/tmp/perf-%d.map", OwnNumber(pid_)));
  }
  if (!dump_) {
    if (const std::string path = DumpPath(pid_); !path.empty()) {
      dump_ = OpenIn(pid_, path);
    }
  }
}

std::string JitFiles::ReadMap() {
  OpenMissing();
  return ReadIfOpen(map_, "perf map", kMaxMap);
}

std::string JitFiles::ReadDump() { return ReadIfOpen(dump_, "jitdump", kMaxDump); }

}  // namespace whyslow
