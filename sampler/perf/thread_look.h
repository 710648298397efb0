// A look at a thread that sleeps, from outside and without stopping it: where it waits, and its
// stack.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/ids.h"
#include "sampler/perf/stop_stacks.h"

namespace whyslow {

// /proc/PID/task/TID/syscall of a thread that sleeps.
struct ThreadSyscall {
  int32_t number = -1;  // -1: it sleeps outside of system calls
  std::array<uint64_t, 6> arguments{};
  uint64_t sp = 0;
  uint64_t pc = 0;

  bool operator==(const ThreadSyscall&) const = default;
};
// nullopt: "running", or damaged.
std::optional<ThreadSyscall> ParseThreadSyscall(std::string_view text);

// /proc/PID/task/TID/schedstat: its third number, how often the thread came to run.
std::optional<uint64_t> ParseTimesRun(std::string_view text);

enum class LookOutcome : uint8_t {
  kSeen,
  kWentOn,  // it runs, or ran meanwhile: what was read is of several moments
  kDenied,  // ptrace's rules forbid it
  kGone,
};

// What the rules say of all threads of this process.
bool MayLookAt(Pid pid);

// `seen` has the stack pointer, the program counter and `stack_bytes` of stack; the other
// registers are out of reach. Not its object.
LookOutcome LookAt(Pid pid, Tid tid, uint32_t stack_bytes, StopSeen& seen);

}  // namespace whyslow
