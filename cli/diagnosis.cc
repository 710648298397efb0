#include "cli/diagnosis.h"

#include <absl/strings/str_format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

namespace whyslow {
namespace {

struct CapabilityRow {
  Capability capability;
  const char* without;  // what will be missing in the profile
};

constexpr std::array kCapabilities = {
    CapabilityRow{Capability::kPerfmon,
                  "other users' processes cannot be sampled, threads that live shorter than a "
                  "sampling period are missed, kernel frames are missing"},
    CapabilityRow{Capability::kBpf,
                  "samples of other processes are sorted out by whyslow, not by the kernel: it "
                  "costs more CPU"},
    CapabilityRow{Capability::kSysPtrace,
                  "memory and files of other users' processes cannot be read: their stacks are "
                  "truncated and their functions have no names"},
    CapabilityRow{Capability::kIpcLock, "buffers are small: at high --frequency samples are lost"},
    CapabilityRow{Capability::kSyslog, "kernel frames have no names"},
    CapabilityRow{Capability::kCheckpointRestore,
                  "deleted and replaced program files cannot be opened: their functions have no "
                  "names"},
    CapabilityRow{Capability::kDacReadSearch,
                  "program files that only their owners may read cannot be opened: their functions "
                  "have no names"},
};

// In the form that setcap takes.
std::string LowerName(Capability capability) {
  std::string name = NameOf(capability);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return name;
}

// setcap replaces what a file had, so the command repeats what is already granted.
template <class Wanted>
std::string SetcapCommand(const MachineFacts& facts, const Wanted& wanted) {
  std::string list;
  for (const CapabilityRow& row : kCapabilities) {
    if (facts.Has(row.capability) || wanted(row.capability)) {
      list += (list.empty() ? "" : ",") + LowerName(row.capability);
    }
  }
  return absl::StrFormat("sudo setcap %s=ep %s", list, facts.program);
}

// CAP_SYS_ADMIN includes what was split off from it later; the kernel's names ask for CAP_SYSLOG.
bool IsGranted(const MachineFacts& facts, Capability capability) {
  const bool split_off = capability == Capability::kPerfmon || capability == Capability::kBpf ||
                         capability == Capability::kCheckpointRestore;
  return facts.Has(capability) || (split_off && facts.Has(Capability::kSysAdmin));
}

Diagnosis Fine(std::string subject, std::string finding) {
  return {.subject = std::move(subject), .finding = std::move(finding)};
}

Diagnosis Missing(std::string subject, std::string finding, std::string remedy) {
  return {.is_fine = false,
          .subject = std::move(subject),
          .finding = std::move(finding),
          .remedy = std::move(remedy)};
}

Diagnosis DiagnoseKernel(const MachineFacts& facts) {
  const std::string kernel = facts.kernel_release + " " + facts.machine;
  if (IsAtLeast(facts.kernel_release, 5, 15)) {
    return Fine("kernel", kernel);
  }
  return Missing("kernel", kernel + ": older than 5.15, so without BPF and with fewer build IDs",
                 "install a newer kernel");
}

Diagnosis DiagnosePerfEvents(const MachineFacts& facts) {
  if (facts.has_perf_events) {
    return Fine("perf events", "available");
  }
  return Missing("perf events",
                 facts.has_seccomp_filter ? "blocked by a seccomp filter: nothing can be sampled"
                                          : "not in this kernel: nothing can be sampled",
                 facts.has_seccomp_filter
                     ? "docker run --security-opt seccomp=unconfined --cap-add PERFMON ..."
                     : "use a kernel with CONFIG_PERF_EVENTS");
}

Diagnosis DiagnoseParanoid(const MachineFacts& facts) {
  if (!facts.perf_event_paranoid) {
    return Fine("perf_event_paranoid", "not readable");
  }
  const int64_t level = *facts.perf_event_paranoid;
  const std::string value = absl::StrFormat("%d", level);
  if (IsGranted(facts, Capability::kPerfmon)) {
    return Fine("perf_event_paranoid", value + ", does not matter with CAP_PERFMON");
  }
  const std::string remedy = "sudo sysctl kernel.perf_event_paranoid=";
  if (level > 2) {
    return Missing("perf_event_paranoid", value + ": you may not sample at all", remedy + "2");
  }
  if (level == 2) {
    return Missing("perf_event_paranoid", value + ": kernel frames are missing", remedy + "1");
  }
  return Fine("perf_event_paranoid", value);
}

Diagnosis DiagnoseKernelNames(const MachineFacts& facts) {
  const std::string value = facts.kptr_restrict ? absl::StrFormat("%d", *facts.kptr_restrict)
                                                : std::string("not readable");
  if (facts.kernel_symbols_visible) {
    return Fine("kptr_restrict", value + ", kernel frames have names");
  }
  return Missing("kptr_restrict", value + ": kernel frames have no names",
                 facts.kptr_restrict.value_or(0) >= 2 ? "sudo sysctl kernel.kptr_restrict=1"
                                                      : SetcapCommand(facts, [](Capability wanted) {
                                                          return wanted == Capability::kSyslog;
                                                        }));
}

Diagnosis DiagnoseLockedMemory(const MachineFacts& facts) {
  const std::string kb =
      absl::StrFormat("%d KB a CPU for buffers", facts.perf_mlock_kb.value_or(0));
  if (facts.Has(Capability::kIpcLock)) {
    return Fine("locked memory", "unlimited with CAP_IPC_LOCK");
  }
  if (!facts.memlock_limit) {
    return Fine("locked memory", "unlimited");
  }
  return Fine("locked memory",
              absl::StrFormat("%s, and %d KB more (ulimit -l)", kb, *facts.memlock_limit / 1024));
}

Diagnosis DiagnoseSampleRate(const MachineFacts& facts) {
  constexpr int64_t kHighestFrequency = 10'000;
  if (!facts.max_sample_rate) {
    return Fine("max sample rate", "not readable");
  }
  const std::string rate = absl::StrFormat("%d Hz", *facts.max_sample_rate);
  if (*facts.max_sample_rate >= kHighestFrequency) {
    return Fine("max sample rate", rate);
  }
  return Missing("max sample rate", rate + ": a higher --frequency is refused or lowered",
                 "sudo sysctl kernel.perf_event_max_sample_rate=100000");
}

Diagnosis DiagnoseBpf(const MachineFacts& facts) {
  const auto yes_no = [](bool value) { return value ? "yes" : "no"; };
  const bool permitted =
      IsGranted(facts, Capability::kBpf) && IsGranted(facts, Capability::kPerfmon);
  const std::string text =
      absl::StrFormat("built in: %s, permitted: %s, BTF: %s", yes_no(facts.bpf_built_in),
                      yes_no(permitted), yes_no(facts.has_btf));
  if (!facts.bpf_built_in) {
    return Fine("BPF", text + " (this build samples without it)");
  }
  if (facts.bpf_problem.empty()) {
    return Fine("BPF", text);
  }
  const std::string finding =
      text + ": waits cost more and are known less well, samples are sorted out by whyslow (" +
      facts.bpf_problem + ")";
  if (!facts.has_btf) {
    return Missing("BPF", finding, "use a kernel with CONFIG_DEBUG_INFO_BTF");
  }
  return Missing("BPF", finding, SetcapCommand(facts, [](Capability wanted) {
                   return wanted == Capability::kBpf || wanted == Capability::kPerfmon;
                 }));
}

Diagnosis DiagnoseTableCache(const MachineFacts& facts) {
  if (facts.table_cache_problem.empty()) {
    return Fine("cache", facts.table_cache);
  }
  return Missing("cache", facts.table_cache_problem + ": large modules are prepared at each attach",
                 "--cache DIR, a directory of your own");
}

}  // namespace

std::vector<Diagnosis> Diagnose(const MachineFacts& facts) {
  std::vector<Diagnosis> lines = {DiagnoseKernel(facts),       DiagnosePerfEvents(facts),
                                  DiagnoseParanoid(facts),     DiagnoseKernelNames(facts),
                                  DiagnoseLockedMemory(facts), DiagnoseSampleRate(facts),
                                  DiagnoseBpf(facts),          DiagnoseTableCache(facts)};
  for (const CapabilityRow& row : kCapabilities) {
    if (IsGranted(facts, row.capability)) {
      lines.push_back(Fine(NameOf(row.capability), "yes"));
      continue;
    }
    if (row.capability == Capability::kSyslog && facts.kernel_symbols_visible) {
      lines.push_back(Fine(NameOf(row.capability), "no, but kernel frames have names"));
      continue;
    }
    const auto is_this = [&](Capability wanted) { return wanted == row.capability; };
    lines.push_back(Missing(NameOf(row.capability), std::string("missing: ") + row.without,
                            SetcapCommand(facts, is_this)));
  }
  return lines;
}

std::string GrantAllCommand(const MachineFacts& facts) {
  const bool has_all =
      std::all_of(kCapabilities.begin(), kCapabilities.end(),
                  [&](const CapabilityRow& row) { return IsGranted(facts, row.capability); });
  return has_all ? "" : SetcapCommand(facts, [](Capability) { return true; });
}

}  // namespace whyslow
