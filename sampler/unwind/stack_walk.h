// One walk over one stack.
#pragma once

#include <cstdint>
#include <optional>

#include "sampler/registers.h"
#include "sampler/unwind/code_rules.h"
#include "sampler/unwind/stack_unwinder.h"
#include "sampler/unwind/word_reader.h"

namespace whyslow {

// Follows pc, sp and the frame pointer, which is all that most rules speak of. A rule that asks for
// another register, once frames have been left, makes the walk start again and follow all of them.
class StackWalk {
 public:
  StackWalk(CodeRules& rules, const CodeMap& map, const TargetMemory& memory,
            uint64_t signature_mask, NativeStack& out);

  void Run(const UserRegisters& start);
  // After a walk that ended with kCopyEnded.
  void GoOnBy(const FramePointerChain& chain);

 private:
  enum class Follow : uint8_t { kThree, kAll };

  // What a step found of the caller.
  struct Caller {
    uint64_t pc = 0;
    uint64_t sp = 0;
  };

  // nullopt: done, the end is in out_. Else: start again, following this much.
  std::optional<Follow> Attempt(const UserRegisters& start, Follow follow);

  // Where the CFA is, for rules that count from the stack pointer.
  uint64_t CfaFromStackPointer(const UnwindRule& rule) const;
  // Each leaves the frame pointer in fp_. nullopt: failed_ says why.
  std::optional<Caller> Step(const CodeRule& code);
  // By value: looking at where a guess leads may push the rule out of the cache.
  std::optional<Caller> StepByGuess(CodeRule code);
  // CFI first, but where it leads nowhere the chain of frame pointers.
  std::optional<Caller> StepInGo(CodeRule code);
  // Upwards on the stack, and where a call would return to.
  bool LooksRight(const Caller& caller);
  uint64_t QuickCfa(const CodeRule& code) {
    return code.step == StepKind::kStackPointer
               ? CfaFromStackPointer(code.rule)
               : *fp_ + static_cast<uint64_t>(int64_t{code.rule.cfa_offset});
  }
  // In a frame of unknown size that is called from the entry code by jumps alone (musl's): the
  // entry code's return address, the last word of the frame.
  std::optional<Caller> FindEntryCode();
  std::optional<uint64_t> CfaOfGuess(const UnwindRule& rule);
  std::optional<Caller> StepQuickly(const CodeRule& code, uint64_t cfa);
  std::optional<Caller> StepGenerally(const CodeRule& code);
  std::optional<uint64_t> FindCfa(const CodeRule& code);
  std::optional<uint64_t> Recover(const CodeRule& code, const RegisterRule& rule, uint64_t cfa);
  std::optional<uint64_t> Evaluate(const CodeRule& code, int32_t expression,
                                   std::optional<uint64_t> initial);
  // An epilogue has restored the register from there already; its CFI need not say so. What lies
  // below the stack pointer is not part of a sample's copy.
  bool IsPopped(uint64_t slot) const { return slot < sp_; }
  // Other registers of the caller, into registers_.
  void RecoverOthers(const CodeRule& code, uint64_t cfa);
  // Registers that a call may change, or all but three, are no longer known.
  void ForgetAfterCall();

  // The last frame's place in the chain; 0: it does not lie there.
  size_t PlaceIn(const FramePointerChain& chain) const;
  // Whether the frame is left by what the chain follows: its frame record.
  bool HasFrameRecord(const CodeRule& code) const;
  // Checks and enters the caller. False: the walk is over.
  bool Enter(const Caller& caller, bool is_signal_frame);

  std::optional<uint64_t> Fail(StackEnd why);
  StackEnd WhyUnreadable() const;
  bool End(StackEnd why);

  CodeRules& rules_;
  const CodeMap& map_;
  const TargetMemory& memory_;
  WordReader words_;
  uint64_t signature_mask_;
  NativeStack& out_;
  Architecture architecture_ = kHostArchitecture;
  WalkRegisters numbers_{};

  Follow follow_ = Follow::kThree;
  const CodeRule* code_ = nullptr;  // the current frame's; valid until the caller's is looked up
  UserRegisters registers_;         // all but the three below
  uint64_t pc_ = 0;
  uint64_t sp_ = 0;
  std::optional<uint64_t> fp_;
  bool is_exact_ = true;
  // ARM64: the frame before was left by its frame record, which is somewhere within the frame.
  bool sp_is_guess_ = false;
  bool guessed_by_record_ = false;  // by the step that has just been made
  bool left_stack_ = false;         // by a signal frame: the rest may be on another stack
  StackEnd failed_ = StackEnd::kRoot;
  std::optional<StackWord> found_at_;  // the caller's address
  bool wants_all_ = false;
};

}  // namespace whyslow
