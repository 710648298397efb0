// Distinct types for numbers that must never be mixed: processes, threads, processors.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace whyslow {

// Compare and hash as they are; to print or to call the kernel, go through Number().
enum class Pid : int32_t {};
enum class Tid : int32_t {};
enum class Cpu : int32_t {};

inline constexpr Pid kNoPid{-1};
inline constexpr Tid kNoTid{-1};

constexpr int32_t Number(Pid pid) { return static_cast<int32_t>(pid); }
constexpr int32_t Number(Tid tid) { return static_cast<int32_t>(tid); }
constexpr int32_t Number(Cpu cpu) { return static_cast<int32_t>(cpu); }

// The main thread of a process has the number of the process.
constexpr Tid MainThreadOf(Pid pid) { return Tid{Number(pid)}; }

}  // namespace whyslow
