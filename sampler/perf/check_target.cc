#include "sampler/perf/check_target.h"

#include <absl/strings/str_format.h>
#include <elf.h>
#include <linux/capability.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <string>

#include "base/file_io.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "sampler/perf/proc_scan.h"
#include "sampler/perf/rights.h"

namespace whyslow {
namespace {

absl::Status NotFound(Pid pid, std::string_view why) {
  return MakeStatus(absl::StatusCode::kNotFound,
                    absl::StrFormat("process %d: %s", Number(pid), why));
}

// True where the program is known to be a 32-bit one; its file may be unreadable for us.
bool Is32Bit(Pid pid) {
  const auto exe = OpenReadOnly(absl::StrFormat("/proc/%d/exe", Number(pid)));
  std::array<unsigned char, EI_NIDENT> ident{};
  return exe.ok() && pread(exe->get(), ident.data(), ident.size(), 0) == EI_NIDENT &&
         ident[EI_MAG0] == ELFMAG0 && ident[EI_CLASS] == ELFCLASS32;
}

absl::Status CheckOwner(Pid pid, std::string_view status) {
  const Rights rights = ReadRights();
  if (rights.may_see_all_processes() || rights.Has(CAP_SYS_PTRACE)) {
    return absl::OkStatus();
  }
  uint32_t owner = rights.user;
  if (const auto field = FindStatusField(status, "Uid")) {
    std::from_chars(field->data(), field->data() + field->size(), owner);
  }
  if (owner == rights.user) {
    return absl::OkStatus();
  }
  return MakeStatus(
      absl::StatusCode::kPermissionDenied,
      absl::StrFormat("process %d: it belongs to user %u, and you are user %u. Run as root, as "
                      "user %u, or grant whyslow the capabilities that `whyslow doctor` names",
                      Number(pid), owner, rights.user, owner));
}

}  // namespace

absl::Status CheckTarget(Pid pid) {
  const auto stat = ReadProcStat(pid);
  const std::string status =
      ReadFile(absl::StrFormat("/proc/%d/status", Number(pid))).value_or(std::string());
  if (!stat || status.empty()) {
    return NotFound(pid, "there is no such process. `ps -e` lists those that run");
  }
  int32_t process = Number(pid);
  if (const auto field = FindStatusField(status, "Tgid")) {
    std::from_chars(field->data(), field->data() + field->size(), process);
  }
  if (process != Number(pid)) {
    return NotFound(
        pid, absl::StrFormat("this is a thread of process %d. Give --pid %d", process, process));
  }
  if (stat->is_kernel_thread) {
    return NotFound(pid, "this is a thread of the kernel, which has no program to profile");
  }
  if (stat->has_ended() && ReadThreads(pid).size() <= 1) {
    return NotFound(pid, "it has ended and waits for its parent to notice (a zombie)");
  }
  if (Is32Bit(pid)) {
    return NotFound(pid, "it runs a 32-bit program; only 64-bit ones can be profiled");
  }
  return CheckOwner(pid, status);
}

}  // namespace whyslow
