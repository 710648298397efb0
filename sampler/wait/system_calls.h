// This machine's system calls: what they are called and what a thread inside one waits for.
#pragma once

#include <cstdint>
#include <string_view>

#include "profile/wait_kind.h"

namespace whyslow {

struct SystemCall {
  // Where the call names what it waits for.
  enum class WaitsOn : uint8_t {
    kOther,
    kDescriptor,  // the first argument
    kPolled,      // an array of pollfd
    kSelected,    // sets of bits
    kLock,        // a word of memory
  };

  std::string_view name;  // empty: no such call is known
  WaitsOn waits_on = WaitsOn::kOther;
  // What it waits for if nothing more is known; kSyscall for most.
  WaitKind kind = WaitKind::kSyscall;
};

SystemCall SystemCallOf(int32_t number);

}  // namespace whyslow
