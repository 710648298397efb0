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
    case StackEnd::kMemoryGone:
      return "user memory gone";
  }
  return "unknown";
}

StackUnwinder::StackUnwinder(UnwindMode mode, CfiCache* cache) : mode_(mode), cache_(cache) {}
StackUnwinder::~StackUnwinder() = default;

CodeRules& StackUnwinder::RulesFor(Architecture architecture) {
  std::unique_ptr<CodeRules>& rules = rules_[static_cast<size_t>(architecture)];
  if (rules == nullptr) {
    rules = std::make_unique<CodeRules>(architecture, mode_, cache_);
  }
  return *rules;
}

void StackUnwinder::Unwind(const UserRegisters& registers, const AddressSpace& space,
                           const TargetMemory& memory, NativeStack& out, const UnwindAids& aids) {
  const CodeMap map(space, aids.jit);
  StackWalk walk(RulesFor(registers.architecture()), map, memory, signature_mask_, out);
  walk.Run(registers);
  if (out.end == StackEnd::kCopyEnded && mode_ != UnwindMode::kDwarf) {
    walk.GoOnBy(aids.chain);
  }
}

}  // namespace whyslow
