// What this process may do, as far as it decides how events are opened.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace whyslow {

struct Rights {
  uint64_t capabilities = 0;  // effective, one bit each, as in linux/capability.h
  uint32_t user = 0;          // effective user
  int paranoid = 2;           // /proc/sys/kernel/perf_event_paranoid
  bool first_pid_namespace = false;

  bool Has(int capability) const { return (capabilities >> capability & 1) != 0; }
  bool may_see_all_processes() const;  // their events
  bool may_lock_any_memory() const;
  bool may_use_bpf() const;
};

Rights ReadRights();

// Bytes of rings that this user may lock on this machine; nullopt: any.
std::optional<size_t> LockedMemoryBudget(const Rights& rights, size_t cpus);

// A number in a file of /proc/sys or /sys; nullopt where there is none.
std::optional<int64_t> ReadNumberFile(const char* path);

// Descriptors are needed per thread and CPU, or per CPU: takes all that the hard limit gives.
void RaiseDescriptorLimit();

}  // namespace whyslow
