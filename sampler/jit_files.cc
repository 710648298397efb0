#include "sampler/jit_files.h"

#include <absl/strings/str_format.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "base/file_io.h"
#include "base/root_folder.h"

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

// As the process sees it. Nothing but a regular file: what it names is not trusted.
UniqueFd OpenIn(Pid pid, const std::string& path) {
  const absl::StatusOr<RootFolder> root = RootFolder::Of(pid);
  if (!root.ok()) {
    return UniqueFd();
  }
  absl::StatusOr<UniqueFd> fd = root->OpenReadOnly(path, /*regular_only=*/true);
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

bool IsJitDump(std::string_view path) {
  constexpr std::string_view kStart = "jit-", kEnd = ".dump", kDeleted = " (deleted)";
  std::string_view name = path.substr(path.rfind('/') + 1);
  if (name.ends_with(kDeleted)) {
    name.remove_suffix(kDeleted.size());
  }
  if (!name.starts_with(kStart) || !name.ends_with(kEnd)) {
    return false;
  }
  name.remove_prefix(kStart.size());
  name.remove_suffix(std::min(kEnd.size(), name.size()));
  return !name.empty() && name.find_first_not_of("0123456789") == std::string_view::npos;
}

void JitFiles::OpenMissing() {
  if (!map_ && may_open_) {
    map_ = OpenIn(pid_, absl::StrFormat("/tmp/perf-%d.map", OwnNumber(pid_)));
  }
}

std::string JitFiles::ReadMap() {
  OpenMissing();
  return ReadIfOpen(map_, "perf map", kMaxMap);
}

std::string JitFiles::ReadDump() {
  return dump_ != nullptr ? ReadIfOpen(*dump_, "jitdump", kMaxDump) : std::string();
}

}  // namespace whyslow
