// How a walk over a stack can end, and how it may go.
#pragma once

#include <cstdint>
#include <string_view>

namespace whyslow {

// Why a walk ended. Everything but kRoot is shown as a frame `[truncated: REASON]`.
enum class StackEnd : uint8_t {
  kRoot,             // the program's or thread's entry
  kNoRegisters,      // the kernel gave no user registers
  kCopyEnded,        // the caller's words lie beyond the copied part of the stack
  kBadMemory,        // the rules led to memory that cannot be read, or backwards on the stack
  kNoUnwindInfo,     // code without CFI, and no frame pointer that leads on
  kUnknownMapping,   // code in no known mapping
  kRegisterUnknown,  // a rule needs a register that was not saved
  kTooDeep,          // more frames than kMaxFrames
  kMemoryGone,       // in execve or exit: the user memory has been taken down
};

// "stack copy ended", "no unwind information", ...; "" for kRoot.
std::string_view ReasonFor(StackEnd end);

enum class UnwindMode : uint8_t {
  kAuto,           // CFI, and frame pointers where there is none
  kDwarf,          // CFI alone
  kFramePointers,  // frame pointers alone; CFI only for signal frames and roots
};

}  // namespace whyslow
