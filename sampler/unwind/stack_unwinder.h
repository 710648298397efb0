// Native stacks from registers and memory: frame by frame to the root, or to a stated reason.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/address.h"
#include "sampler/registers.h"
#include "sampler/target/address_space.h"
#include "sampler/target/target_memory.h"
#include "sampler/unwind/stack_end.h"

namespace whyslow {

struct NativeStack {
  std::vector<RuntimeCodeAddress> frames;  // leaf first
  StackEnd end = StackEnd::kNoRegisters;
  // Where on the stack the callers' addresses were found, leaf first; of those that were.
  std::vector<StackWord> return_addresses;
};

// The kernel's own walk along the frame pointers at the moment of the sample.
struct FramePointerChain {
  std::span<const RuntimeAddress> addresses;  // leaf first; behind it return addresses
  bool is_whole = false;                      // else the kernel's limit may have cut it
};

class CfiCache;
class CodeRules;
class JitUnwindTable;

// What is known beside registers, mappings and memory.
struct UnwindAids {
  const JitUnwindTable* jit = nullptr;  // of code that the process made
  FramePointerChain chain = {};         // leads on where the memory ends, by rules that follow it
};

// Used by one thread. Keeps one compiled table a module, shared by all processes that map it.
class StackUnwinder {
 public:
  static constexpr size_t kMaxFrames = 16'384;

  // `cache` keeps the tables from one run to the next; null: none is kept. It has to outlive this.
  explicit StackUnwinder(UnwindMode mode = UnwindMode::kAuto, CfiCache* cache = nullptr);
  ~StackUnwinder();

  // Replaces `out`, whose storage is kept for the next stack. The leaf is where the thread was
  // executing (At); so is code that a signal interrupted, and the trampoline above it, to which
  // nothing returns. All others are return addresses.
  void Unwind(const UserRegisters& registers, const AddressSpace& space, const TargetMemory& memory,
              NativeStack& out, const UnwindAids& aids = {});

  // ARM64: the bits of a return address that may hold its signature (NT_ARM_PAC_MASK). 0: none.
  void SetPointerAuthenticationMask(uint64_t mask) { signature_mask_ = mask; }

 private:
  CodeRules& RulesFor(Architecture architecture);

  UnwindMode mode_;
  CfiCache* cache_;
  uint64_t signature_mask_ = 0;
  // By architecture. In life only the host's is used; recordings may come from elsewhere.
  std::unique_ptr<CodeRules> rules_[2];
};

}  // namespace whyslow
