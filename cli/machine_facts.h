// What this machine and this user allow, read from /proc and /sys: facts only, no judgement.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"

namespace whyslow {

// The capabilities that whyslow can use, by the kernel's numbers (linux/capability.h).
enum class Capability : uint8_t {
  kDacReadSearch = 2,
  kIpcLock = 14,
  kSysPtrace = 19,
  kSysAdmin = 21,
  kSyslog = 34,
  kPerfmon = 38,
  kBpf = 39,
  kCheckpointRestore = 40,
};
// "CAP_PERFMON".
std::string NameOf(Capability capability);

struct MachineFacts {
  std::string kernel_release;  // "6.1.0-18-amd64"
  std::string machine;         // "x86_64"
  std::string program;         // our own path, for the commands that grant rights
  uint32_t user = 0;
  uint64_t capabilities = 0;  // effective, one bit each
  std::optional<int64_t> perf_event_paranoid;
  std::optional<int64_t> kptr_restrict;
  std::optional<int64_t> max_sample_rate;
  std::optional<int64_t> perf_mlock_kb;   // per CPU
  std::optional<uint64_t> memlock_limit;  // bytes; nullopt: unlimited
  bool has_perf_events = false;           // the system call answers
  bool kernel_symbols_visible = false;    // /proc/kallsyms shows addresses
  bool has_btf = false;                   // /sys/kernel/btf/vmlinux
  bool bpf_built_in = false;              // this build of whyslow can use BPF
  std::string bpf_problem;                // why loading its programs failed; empty: it works
  std::string table_cache;                // directory of the cache of unwind tables
  std::string table_cache_problem;        // why it cannot be used; empty: it can
  bool has_seccomp_filter = false;        // as in most containers

  bool Has(Capability capability) const {
    return (capabilities >> static_cast<int>(capability) & 1) != 0;
  }
};

MachineFacts ReadMachineFacts();

// True when the release "MAJOR.MINOR..." is at least that; unreadable releases are taken for new.
bool IsAtLeast(const std::string& release, int major, int minor);

}  // namespace whyslow
