#include "cli/machine_facts.h"

#include <absl/strings/numbers.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "base/file_io.h"
#include "cli/open_cache.h"
#include "sampler/bpf/bpf_sampler.h"
#include "sampler/unwind/cfi_cache.h"

namespace whyslow {
namespace {

std::optional<int64_t> ReadNumber(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadFile(path);
  int64_t number = 0;
  return text.ok() && absl::SimpleAtoi(*text, &number) ? std::optional(number) : std::nullopt;
}

// The value of a line "Field:\tvalue" of /proc/self/status.
std::string StatusField(const std::string& status, const std::string& field) {
  const std::string start = "\n" + field + ":";
  const size_t at = ("\n" + status).find(start);
  if (at == std::string::npos) {
    return "";
  }
  const size_t value = status.find_first_not_of(" \t", at + start.size() - 1);
  return value == std::string::npos ? "" : status.substr(value, status.find('\n', value) - value);
}

uint64_t EffectiveCapabilities(const std::string& status) {
  const std::string field = StatusField(status, "CapEff");
  uint64_t capabilities = 0;
  std::from_chars(field.data(), field.data() + field.size(), capabilities, 16);
  return capabilities;
}

// With no attributes the call fails in any case; only with EFAULT it got as far as reading them.
bool PerfEventsAnswer() {
  errno = 0;
  return syscall(SYS_perf_event_open, nullptr, 0, -1, -1, 0) < 0 && errno == EFAULT;
}

// Hidden addresses read as 0.
bool KernelSymbolsVisible() {
  std::ifstream file("/proc/kallsyms");
  std::string address;
  for (int line = 0; line < 100 && file >> address; ++line) {
    if (address.find_first_not_of('0') != std::string::npos) {
      return true;
    }
    file.ignore(4096, '\n');
  }
  return false;
}

// Loads the programs and lets them go again: rights, kernel and BTF together decide.
void TryBpf(MachineFacts& facts) {
  const absl::Status status = BpfSampler::Load({.waits = true}).status();
  facts.bpf_built_in = !absl::IsUnimplemented(status);
  facts.bpf_problem = std::string(status.message());
}

void TryTableCache(MachineFacts& facts) {
  const absl::StatusOr<std::unique_ptr<CfiCache>> cache = OpenCache<CfiCache>({});
  if (cache.ok()) {
    facts.table_cache = (*cache)->directory();
  } else {
    facts.table_cache_problem = std::string(cache.status().message());
  }
}

void ReadUser(MachineFacts& facts) {
  const std::string status = ReadFile("/proc/self/status").value_or(std::string());
  facts.user = geteuid();
  facts.capabilities = EffectiveCapabilities(status);
  facts.has_seccomp_filter = StatusField(status, "Seccomp") == "2";
  std::error_code problem;
  facts.program = std::filesystem::read_symlink("/proc/self/exe", problem).string();
  rlimit limit{};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    facts.memlock_limit = limit.rlim_cur;
  }
}

}  // namespace

std::string NameOf(Capability capability) {
  switch (capability) {
    case Capability::kDacReadSearch:
      return "CAP_DAC_READ_SEARCH";
    case Capability::kIpcLock:
      return "CAP_IPC_LOCK";
    case Capability::kSysPtrace:
      return "CAP_SYS_PTRACE";
    case Capability::kSysAdmin:
      return "CAP_SYS_ADMIN";
    case Capability::kSyslog:
      return "CAP_SYSLOG";
    case Capability::kPerfmon:
      return "CAP_PERFMON";
    case Capability::kBpf:
      return "CAP_BPF";
    case Capability::kCheckpointRestore:
      return "CAP_CHECKPOINT_RESTORE";
  }
  return "";
}

MachineFacts ReadMachineFacts() {
  MachineFacts facts;
  utsname name{};
  if (uname(&name) == 0) {
    facts.kernel_release = name.release;
    facts.machine = name.machine;
  }
  ReadUser(facts);
  facts.perf_event_paranoid = ReadNumber("/proc/sys/kernel/perf_event_paranoid");
  facts.kptr_restrict = ReadNumber("/proc/sys/kernel/kptr_restrict");
  facts.max_sample_rate = ReadNumber("/proc/sys/kernel/perf_event_max_sample_rate");
  facts.perf_mlock_kb = ReadNumber("/proc/sys/kernel/perf_event_mlock_kb");
  facts.has_perf_events = PerfEventsAnswer();
  facts.kernel_symbols_visible = KernelSymbolsVisible();
  facts.has_btf = access("/sys/kernel/btf/vmlinux", R_OK) == 0;
  TryBpf(facts);
  TryTableCache(facts);
  return facts;
}

bool IsAtLeast(const std::string& release, int major, int minor) {
  int actual_major = 0;
  int actual_minor = 0;
  const char* end = release.data() + release.size();
  const auto [dot, error] = std::from_chars(release.data(), end, actual_major);
  if (error != std::errc() || dot == end || *dot != '.' ||
      std::from_chars(dot + 1, end, actual_minor).ec != std::errc()) {
    return true;
  }
  return std::pair(actual_major, actual_minor) >= std::pair(major, minor);
}

}  // namespace whyslow
