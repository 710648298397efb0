// What a thread inside a system call waits for, if nothing more than the call is known.
#pragma once

#include <string_view>

#include "profile/wait_kind.h"

namespace whyslow {

// kSyscall for most.
WaitKind KindOfSystemCall(std::string_view name);

}  // namespace whyslow
