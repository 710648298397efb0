// A process held still by ptrace, so that several unwinders can look at one and the same state.
// Tests only: the profiler itself never stops anything.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sampler/registers.h"
#include "sampler/target/address_space.h"
#include "sampler/target/target_memory.h"

namespace whyslow::testing {

// Modules opened so far, shared by all processes of a test.
class ModuleCache {
 public:
  ModuleFileRef Open(pid_t pid, const std::string& path, uint64_t inode, RuntimeAddress start,
                     uint64_t size);

 private:
  std::map<std::pair<std::string, uint64_t>, ModuleFileRef> modules_;
};

// The executable mappings, read from /proc.
AddressSpace ReadAddressSpace(pid_t pid, ModuleCache& modules);

// Attached and stopped for its lifetime; goes on when it ends.
class StoppedThread {
 public:
  // nullopt: it is gone, or not ours to stop.
  static std::optional<StoppedThread> Stop(pid_t tid);
  StoppedThread(StoppedThread&& other) noexcept;
  StoppedThread& operator=(StoppedThread&&) = delete;
  ~StoppedThread();

  const UserRegisters& registers() const { return registers_; }
  // What the kernel would copy with a sample: up to `limit` bytes from the stack pointer on.
  std::vector<std::byte> CopyStack(size_t limit) const;

 private:
  explicit StoppedThread(pid_t tid) : tid_(tid) {}

  pid_t tid_;
  UserRegisters registers_;
};

// The registers of a thread that is stopped under ptrace.
std::optional<UserRegisters> ReadRegisters(pid_t tid);
std::vector<std::byte> CopyStackOf(pid_t tid, const UserRegisters& registers, size_t limit);

}  // namespace whyslow::testing
