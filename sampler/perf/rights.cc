#include "sampler/perf/rights.h"

#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <string>

#include "base/file_io.h"
#include "sampler/perf/proc_scan.h"

namespace whyslow {
namespace {

constexpr int kCapPerfmon = 38;  // Linux 5.8; headers may be older
constexpr int kCapBpf = 39;
constexpr ino_t kFirstPidNamespace = 0xEFFFFFFC;  // the kernel's PROC_PID_INIT_INO

}  // namespace

bool Rights::may_see_all_processes() const {
  return paranoid <= 0 || Has(kCapPerfmon) || Has(CAP_SYS_ADMIN);
}

bool Rights::may_lock_any_memory() const { return paranoid < 0 || Has(CAP_IPC_LOCK); }

bool Rights::may_use_bpf() const {
  return (Has(kCapBpf) && Has(kCapPerfmon)) || Has(CAP_SYS_ADMIN);
}

Rights ReadRights() {
  Rights rights;
  rights.user = geteuid();
  rights.paranoid =
      static_cast<int>(ReadNumberFile("/proc/sys/kernel/perf_event_paranoid").value_or(2));
  struct stat info {};
  rights.first_pid_namespace =
      stat("/proc/self/ns/pid", &info) == 0 && info.st_ino == kFirstPidNamespace;
  const std::string status = ReadFile("/proc/self/status").value_or(std::string());
  if (const auto field = FindStatusField(status, "CapEff")) {
    std::from_chars(field->data(), field->data() + field->size(), rights.capabilities, 16);
  }
  return rights;
}

std::optional<size_t> LockedMemoryBudget(const Rights& rights, size_t cpus) {
  if (rights.may_lock_any_memory()) {
    return std::nullopt;
  }
  constexpr int64_t kUsualKilobytes = 516;
  const int64_t kilobytes =
      ReadNumberFile("/proc/sys/kernel/perf_event_mlock_kb").value_or(kUsualKilobytes);
  size_t budget = static_cast<size_t>(kilobytes) * 1024 * cpus;
  rlimit limit{};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    budget += limit.rlim_cur;
  }
  return budget;
}

std::optional<int64_t> ReadNumberFile(const char* path) {
  const std::string text = ReadFile(path).value_or(std::string());
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() ? std::optional(number) : std::nullopt;
}

void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

}  // namespace whyslow
