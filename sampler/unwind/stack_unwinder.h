// Native stacks from registers and memory: frame by frame to the root, or to a stated reason.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "sampler/registers.h"
#include "sampler/target/address_space.h"
#include "sampler/target/target_memory.h"

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
};

// "stack copy ended", "no unwind information", ...; "" for kRoot.
std::string_view ReasonFor(StackEnd end);

struct NativeStack {
  std::vector<RuntimeCodeAddress> frames;  // leaf first
  StackEnd end = StackEnd::kNoRegisters;
};

class CfiTable;

enum class UnwindMode : uint8_t { kAuto, kDwarf, kFramePointers };

// Used by one thread. Keeps one compiled table a module, shared by all processes that map it.
class StackUnwinder {
 public:
  static constexpr size_t kMaxFrames = 16'384;

  explicit StackUnwinder(UnwindMode mode = UnwindMode::kAuto);
  ~StackUnwinder();

  // Replaces `out`, whose storage is kept for the next stack.
  void Unwind(const UserRegisters& registers, const AddressSpace& space, const TargetMemory& memory,
              NativeStack& out);

 private:
  const CfiTable* TableFor(const ModuleFileRef& module);

  UnwindMode mode_;
  // Keyed by the module itself, which the entry keeps alive.
  absl::flat_hash_map<ModuleFileRef, std::unique_ptr<CfiTable>> tables_;
};

}  // namespace whyslow
