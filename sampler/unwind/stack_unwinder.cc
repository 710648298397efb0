#include "sampler/unwind/stack_unwinder.h"

#include "sampler/unwind/code_rules.h"
#include "sampler/unwind/stack_walk.h"

namespace whyslow {

std::string_view ReasonFor(StackEnd end) {
  switch (end) {
    case StackEnd::kRoot:
      return "";
    case StackEnd::kNoRegisters:
      return "no registers";
    case StackEnd::kCopyEnded:
      return "stack copy ended";
    case StackEnd::kBadMemory:
      return "bad memory";
    case StackEnd::kNoUnwindInfo:
      return "no unwind information";
    case StackEnd::kUnknownMapping:
      return "unknown mapping";
    case StackEnd::kRegisterUnknown:
      return "register unknown";
    case StackEnd::kTooDeep:
      return "too deep";
  }
  return "unknown";
}

StackUnwinder::StackUnwinder(UnwindMode mode) : mode_(mode) {}
StackUnwinder::~StackUnwinder() = default;

CodeRules& StackUnwinder::RulesFor(Architecture architecture) {
  std::unique_ptr<CodeRules>& rules = rules_[static_cast<size_t>(architecture)];
  if (rules == nullptr) {
    rules = std::make_unique<CodeRules>(architecture, mode_);
  }
  return *rules;
}

void StackUnwinder::Unwind(const UserRegisters& registers, const AddressSpace& space,
                           const TargetMemory& memory, NativeStack& out,
                           const JitUnwindTable* jit) {
  const CodeMap map(space, jit);
  StackWalk(RulesFor(registers.architecture()), map, memory, signature_mask_, out).Run(registers);
}

}  // namespace whyslow
