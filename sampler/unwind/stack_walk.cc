#include "sampler/unwind/stack_walk.h"

#include <utility>

#include "sampler/unwind/expression.h"

namespace whyslow {
namespace {

// User space ends below this on both machines (52-bit addresses on some ARM64).
constexpr uint64_t kEndOfUserSpace = uint64_t{1} << 56;
// Nothing is ever mapped here.
constexpr uint64_t kNullPages = 4096;

// Bit n: a call keeps register n. psABI figure 3.4; AAPCS64 section 6.1.
uint64_t PreservedByCalls(Architecture architecture) {
  const auto bit = [](int number) { return uint64_t{1} << number; };
  if (architecture == Architecture::kX86_64) {
    return bit(x86::kRbx) | bit(x86::kRbp) | bit(12) | bit(13) | bit(14) | bit(15);
  }
  uint64_t kept = bit(arm64::kFp);
  for (int number = arm64::kX19; number < arm64::kFp; ++number) {
    kept |= bit(number);
  }
  return kept;
}

}  // namespace

StackWalk::StackWalk(CodeRules& rules, const CodeMap& map, const TargetMemory& memory,
                     uint64_t signature_mask, NativeStack& out)
    : rules_(rules),
      map_(map),
      memory_(memory),
      words_(memory),
      signature_mask_(signature_mask),
      out_(out) {}

void StackWalk::Run(const UserRegisters& start) {
  architecture_ = start.architecture();
  numbers_ = WalkRegistersOf(architecture_);
  if (Attempt(start, Follow::kThree)) {
    Attempt(start, Follow::kAll);
  }
}

std::optional<StackWalk::Follow> StackWalk::Attempt(const UserRegisters& start, Follow follow) {
  out_.frames.clear();
  out_.return_addresses.clear();
  rules_.Trim();
  if (!start.pc() || !start.sp()) {
    End(StackEnd::kNoRegisters);
    return std::nullopt;
  }
  follow_ = follow;
  registers_ = start;
  pc_ = *start.pc();
  sp_ = *start.sp();
  fp_ = start.fp();
  is_exact_ = true;
  left_stack_ = false;
  sp_is_guess_ = false;
  guessed_by_record_ = false;
  wants_all_ = false;
  out_.frames.push_back(RuntimeCodeAddress::At(RuntimeAddress(pc_)));
  code_ = &rules_.Find(RuntimeAddress(pc_), is_exact_, map_, memory_);
  for (;;) {
    if (code_->step == StepKind::kStop) {
      End(code_->end);
      return std::nullopt;
    }
    const bool is_signal_frame = code_->is_signal_frame;
    found_at_.reset();
    const std::optional<Caller> caller = code_->is_go ? StepInGo(*code_) : Step(*code_);
    if (wants_all_ && follow_ == Follow::kThree) {
      return Follow::kAll;
    }
    if (!caller) {
      End(failed_);
      return std::nullopt;
    }
    if (!Enter(*caller, is_signal_frame)) {
      return std::nullopt;
    }
  }
}

bool StackWalk::End(StackEnd why) {
  out_.end = why;
  return false;
}

std::optional<uint64_t> StackWalk::Fail(StackEnd why) {
  failed_ = why;
  return std::nullopt;
}

StackEnd StackWalk::WhyUnreadable() const {
  return words_.failed_beyond_copy() || (left_stack_ && words_.has_copy()) ? StackEnd::kCopyEnded
                                                                           : StackEnd::kBadMemory;
}

std::optional<StackWalk::Caller> StackWalk::Step(const CodeRule& code) {
  const bool has_more_to_follow = follow_ == Follow::kAll && code.rule.other_count > 0;
  if (code.step == StepKind::kGuess) {
    return StepByGuess(code);
  }
  if (code.step == StepKind::kStackPointer && !has_more_to_follow) {
    return StepQuickly(code, QuickCfa(code));
  }
  if (code.step == StepKind::kFramePointer && !has_more_to_follow) {
    if (fp_) {
      return StepQuickly(code, QuickCfa(code));
    }
    Fail(StackEnd::kRegisterUnknown);
    return std::nullopt;
  }
  return StepGenerally(code);
}

std::optional<StackWalk::Caller> StackWalk::StepByGuess(CodeRule code) {
  const std::optional<uint64_t> fp = fp_;
  const std::span<const CodeRule> guesses = rules_.GuessesOf(code);
  bool copy_ended = false;
  for (const CodeRule& guess : guesses) {
    const std::optional<uint64_t> cfa = CfaOfGuess(guess.rule);
    if (!cfa) {
      continue;
    }
    const std::optional<Caller> caller = StepQuickly(guess, *cfa);
    if (caller && LooksRight(*caller)) {
      guessed_by_record_ =
          architecture_ == Architecture::kArm64 && guess.step == StepKind::kFramePointer;
      return caller;
    }
    copy_ended = copy_ended || (!caller && failed_ == StackEnd::kCopyEnded);
    fp_ = fp;
  }
  if (code.end == StackEnd::kRoot && !is_exact_) {
    const std::optional<Caller> entry = FindEntryCode();
    if (entry) {
      return entry;
    }
  }
  // By custom, entry code clears the frame pointer; but code that keeps something else in it may
  // have a zero there, too.
  const bool is_entry = fp == 0 && !is_exact_ && guesses.size() == 1;
  if (is_entry || (copy_ended && code.end != StackEnd::kRoot)) {
    Fail(is_entry ? StackEnd::kRoot : StackEnd::kCopyEnded);
  } else {
    Fail(code.end);
  }
  return std::nullopt;
}

std::optional<StackWalk::Caller> StackWalk::FindEntryCode() {
  constexpr uint64_t kWords = 32;
  for (uint64_t at = sp_; at < sp_ + kWords * sizeof(uint64_t); at += sizeof(uint64_t)) {
    const std::optional<uint64_t> word = words_.Word(at);
    if (!word) {
      return std::nullopt;
    }
    const Caller entry{.pc = *word, .sp = at + sizeof(uint64_t)};
    if (CodeRules::ReturnsToEntryCode(RuntimeAddress(entry.pc), map_.space()) &&
        LooksRight(entry)) {
      return entry;
    }
  }
  return std::nullopt;
}

std::optional<uint64_t> StackWalk::CfaOfGuess(const UnwindRule& rule) {
  if (rule.cfa_register == numbers_.sp && rule.cfa == CfaKind::kRegister) {
    return CfaFromStackPointer(rule);
  }
  // Any other register may hold anything.
  const std::optional<uint64_t> base = rule.cfa_register == numbers_.sp ? sp_
                                       : rule.cfa_register == numbers_.fp
                                           ? fp_
                                           : registers_.Get(rule.cfa_register);
  if (!base || *base < sp_ || *base % sizeof(*base) != 0) {
    return std::nullopt;
  }
  const uint64_t at = *base + static_cast<uint64_t>(int64_t{rule.cfa_offset});
  if (rule.cfa != CfaKind::kInMemory) {
    return at;
  }
  const std::optional<uint64_t> saved = words_.Word(at);
  return saved && *saved > *base ? saved : std::nullopt;
}

std::optional<StackWalk::Caller> StackWalk::StepInGo(CodeRule code) {
  const std::optional<uint64_t> fp = fp_;
  const bool was_exact = is_exact_;
  const std::optional<Caller> caller = Step(code);
  if (code.is_signal_frame || was_exact || (caller && LooksRight(*caller)) || !fp) {
    return caller;
  }
  if (*fp == 0) {
    Fail(StackEnd::kRoot);
    return std::nullopt;
  }
  fp_ = fp;
  std::optional<Caller> by_chain =
      StepQuickly(rules_.frame_pointer_rule(), QuickCfa(rules_.frame_pointer_rule()));
  if (!by_chain) {
    // A goroutine's stack, of which no copy was made.
    Fail(words_.has_copy() ? StackEnd::kCopyEnded : StackEnd::kBadMemory);
    return std::nullopt;
  }
  if (by_chain->sp <= sp_) {
    sp_ = 0;  // another stack
    left_stack_ = true;
  }
  return by_chain;
}

bool StackWalk::LooksRight(const Caller& caller) {
  const uint64_t pc = caller.pc & ~signature_mask_;
  if (pc < kNullPages || pc >= kEndOfUserSpace || caller.sp <= sp_) {
    return false;
  }
  const CodeRule& next = rules_.Find(RuntimeAddress(pc), /*is_exact=*/false, map_, memory_);
  return next.is_mapped && (next.is_signal_frame ||
                            rules_.FollowsCall(next, RuntimeAddress(pc), map_.space(), memory_));
}

uint64_t StackWalk::CfaFromStackPointer(const UnwindRule& rule) const {
  // The frame pointer of ARM64 points to where its predecessor is saved.
  if (sp_is_guess_ && fp_ && rule.frame_pointer.how == Recovery::kAtCfa) {
    return *fp_ - static_cast<uint64_t>(int64_t{rule.frame_pointer.offset});
  }
  return sp_ + static_cast<uint64_t>(int64_t{rule.cfa_offset});
}

std::optional<StackWalk::Caller> StackWalk::StepQuickly(const CodeRule& code, uint64_t cfa) {
  const UnwindRule& rule = code.rule;
  const uint64_t at = cfa + static_cast<uint64_t>(int64_t{rule.return_address.offset});
  const std::optional<uint64_t> pc = words_.Word(at);
  if (!pc) {
    Fail(WhyUnreadable());
    return std::nullopt;
  }
  found_at_ = {RuntimeAddress(at), *pc};
  if (rule.frame_pointer.how == Recovery::kAtCfa ||
      rule.frame_pointer.how == Recovery::kAtRegister) {
    uint64_t base = cfa;
    if (rule.frame_pointer.how == Recovery::kAtRegister) {
      base = rule.frame_pointer.source == numbers_.sp ? sp_ : fp_.value_or(0);
    }
    const uint64_t slot = base + static_cast<uint64_t>(int64_t{rule.frame_pointer.offset});
    const std::optional<uint64_t> saved = words_.Word(slot);
    fp_ = saved || !IsPopped(slot) ? saved : fp_;
  } else if (rule.frame_pointer.how == Recovery::kUndefined) {
    fp_.reset();
  }
  if (is_exact_) {
    ForgetAfterCall();
  }
  return Caller{.pc = *pc, .sp = cfa};
}

std::optional<StackWalk::Caller> StackWalk::StepGenerally(const CodeRule& code) {
  registers_.Set(numbers_.pc, pc_);
  registers_.Set(numbers_.sp, sp_);
  if (fp_) {
    registers_.Set(numbers_.fp, *fp_);
  } else {
    registers_.Forget(numbers_.fp);
  }
  const std::optional<uint64_t> cfa = FindCfa(code);
  if (!cfa) {
    return std::nullopt;
  }
  const std::optional<uint64_t> pc = Recover(code, code.rule.return_address, *cfa);
  if (!pc) {
    return std::nullopt;
  }
  const std::optional<uint64_t> fp = Recover(code, code.rule.frame_pointer, *cfa);
  Caller caller{.pc = *pc, .sp = *cfa};
  for (const RegisterRule& other : code.set->OthersOf(code.rule)) {
    if (other.number == numbers_.sp) {
      const std::optional<uint64_t> sp = Recover(code, other, *cfa);
      if (!sp) {
        return std::nullopt;
      }
      caller.sp = *sp;
    }
  }
  if (follow_ == Follow::kAll) {
    RecoverOthers(code, *cfa);
  } else if (is_exact_ || code.is_signal_frame) {
    ForgetAfterCall();
  }
  fp_ = fp;
  return caller;
}

std::optional<uint64_t> StackWalk::FindCfa(const CodeRule& code) {
  if (code.rule.cfa == CfaKind::kExpression) {
    return Evaluate(code, code.rule.cfa_offset, std::nullopt);
  }
  const std::optional<uint64_t> base = registers_.Get(code.rule.cfa_register);
  if (!base) {
    wants_all_ = true;
    return Fail(StackEnd::kRegisterUnknown);
  }
  const uint64_t at = *base + static_cast<uint64_t>(int64_t{code.rule.cfa_offset});
  if (code.rule.cfa != CfaKind::kInMemory) {
    return at;
  }
  const std::optional<uint64_t> saved = words_.Word(at);
  return saved ? saved : Fail(WhyUnreadable());
}

std::optional<uint64_t> StackWalk::Recover(const CodeRule& code, const RegisterRule& rule,
                                           uint64_t cfa) {
  const uint64_t at_cfa = cfa + static_cast<uint64_t>(int64_t{rule.offset});
  std::optional<uint64_t> address;
  switch (rule.how) {
    case Recovery::kSame:
    case Recovery::kRegister: {
      const uint8_t source = rule.how == Recovery::kSame ? rule.number : rule.source;
      const std::optional<uint64_t> value = registers_.Get(source);
      if (!value) {
        wants_all_ = wants_all_ || source != numbers_.fp;
        return Fail(StackEnd::kRegisterUnknown);
      }
      return value;
    }
    case Recovery::kAtRegister: {
      const std::optional<uint64_t> base = registers_.Get(rule.source);
      if (base) {
        address = *base + static_cast<uint64_t>(int64_t{rule.offset});
      } else {
        Fail(StackEnd::kRegisterUnknown);
      }
      break;
    }
    case Recovery::kUndefined:
      return Fail(StackEnd::kRegisterUnknown);
    case Recovery::kCfaPlus:
      return at_cfa;
    case Recovery::kExpression:
      return Evaluate(code, rule.offset, cfa);
    case Recovery::kAtCfa:
      address = at_cfa;
      break;
    case Recovery::kAtExpression:
      address = Evaluate(code, rule.offset, cfa);
      break;
  }
  if (!address) {
    return std::nullopt;
  }
  const std::optional<uint64_t> value = words_.Word(*address);
  if (!value && IsPopped(*address) && rule.number != numbers_.return_address) {
    return registers_.Get(rule.number);
  }
  if (value && rule.number == numbers_.return_address) {
    found_at_ = {RuntimeAddress(*address), *value};
  }
  return value ? value : Fail(WhyUnreadable());
}

std::optional<uint64_t> StackWalk::Evaluate(const CodeRule& code, int32_t expression,
                                            std::optional<uint64_t> initial) {
  const std::vector<std::byte>& bytes = code.set->expressions[static_cast<size_t>(expression)];
  const ExpressionResult result = EvaluateExpression(
      bytes,
      {.registers = registers_, .words = words_, .load_bias = code.load_bias, .initial = initial});
  switch (result.failure) {
    case ExpressionFailure::kNone:
      return result.value;
    case ExpressionFailure::kRegisterUnknown:
      wants_all_ = true;
      return Fail(StackEnd::kRegisterUnknown);
    case ExpressionFailure::kMemory:
      return Fail(WhyUnreadable());
    case ExpressionFailure::kMalformed:
      break;
  }
  return Fail(StackEnd::kNoUnwindInfo);
}

void StackWalk::RecoverOthers(const CodeRule& code, uint64_t cfa) {
  // Into a copy: rules speak of the callee's values.
  UserRegisters of_caller = registers_;
  if (!code.is_signal_frame) {
    of_caller.Keep(PreservedByCalls(architecture_));
  }
  for (const RegisterRule& other : code.set->OthersOf(code.rule)) {
    const std::optional<uint64_t> value = Recover(code, other, cfa);
    if (value) {
      of_caller.Set(other.number, *value);
    } else {
      of_caller.Forget(other.number);
    }
  }
  // On ARM64 a signal frame restores the link register, which is also the column of the return
  // address; that one is the program counter there.
  registers_ = of_caller;
}

void StackWalk::ForgetAfterCall() {
  registers_.Keep(follow_ == Follow::kAll ? PreservedByCalls(architecture_) : 0);
}

size_t StackWalk::PlaceIn(const FramePointerChain& chain) const {
  // All that was found has to be there, but for the caller of a leaf without a frame of its own.
  const size_t count = out_.frames.size();
  for (size_t skipped = 0; skipped <= 1 && count > skipped + 1; ++skipped) {
    const size_t last = count - 1 - skipped;
    bool is_equal = last < chain.addresses.size();
    for (size_t i = 1; i <= last && is_equal; ++i) {
      is_equal = chain.addresses[i] == out_.frames[i + skipped].ip();
    }
    if (is_equal) {
      return last;
    }
  }
  return 0;
}

bool StackWalk::HasFrameRecord(const CodeRule& code) const {
  constexpr int kRecordBytes = 16;
  return code.is_go ||
         (code.step == StepKind::kFramePointer && code.rule.cfa == CfaKind::kRegister &&
          code.rule.cfa_offset == kRecordBytes &&
          code.rule.return_address.offset == kRecordBytes / 2 - kRecordBytes);
}

void StackWalk::GoOnBy(const FramePointerChain& chain) {
  const size_t place = is_exact_ ? 0 : PlaceIn(chain);
  if (place == 0) {
    return;
  }
  // The step that failed may have looked elsewhere.
  code_ = &rules_.Find(RuntimeAddress(pc_), /*is_exact=*/false, map_, memory_);
  for (size_t next = place + 1;; ++next) {
    if (code_->step == StepKind::kStop) {
      End(code_->end);
      return;
    }
    if (!HasFrameRecord(*code_)) {
      return;
    }
    if (next == chain.addresses.size()) {
      // The chain of Go ends at its roots.
      End(code_->is_go && chain.is_whole ? StackEnd::kRoot : StackEnd::kCopyEnded);
      return;
    }
    sp_ = 0;  // unknown, and no matter
    if (!Enter({.pc = chain.addresses[next].value(), .sp = 1}, /*is_signal_frame=*/false)) {
      return;
    }
  }
}

bool StackWalk::Enter(const Caller& caller, bool is_signal_frame) {
  const uint64_t pc = caller.pc & ~signature_mask_;
  if (pc == 0) {
    return End(StackEnd::kRoot);
  }
  // Frames lie upwards, except where a signal handler had a stack of its own. A leaf of ARM64 may
  // have no frame at all.
  const bool may_stand = architecture_ == Architecture::kArm64 && is_exact_;
  if (!is_signal_frame && (may_stand ? caller.sp < sp_ : caller.sp <= sp_)) {
    return End(StackEnd::kBadMemory);
  }
  if (pc < kNullPages || pc >= kEndOfUserSpace) {
    return End(StackEnd::kBadMemory);
  }
  if (out_.frames.size() >= StackUnwinder::kMaxFrames) {
    return End(StackEnd::kTooDeep);
  }
  code_ = &rules_.Find(RuntimeAddress(pc), is_signal_frame, map_, memory_);
  if (!code_->is_mapped) {
    return End(StackEnd::kUnknownMapping);
  }
  pc_ = pc;
  sp_ = caller.sp;
  sp_is_guess_ = std::exchange(guessed_by_record_, false);
  is_exact_ = is_signal_frame;
  left_stack_ = left_stack_ || is_signal_frame;
  const bool is_return = !is_exact_ && !code_->is_signal_frame && !code_->is_function_start;
  if (found_at_ && found_at_->value == caller.pc) {
    out_.return_addresses.push_back(*found_at_);
  }
  out_.frames.push_back(is_return ? RuntimeCodeAddress::ReturnTo(RuntimeAddress(pc))
                                  : RuntimeCodeAddress::At(RuntimeAddress(pc)));
  return true;
}

}  // namespace whyslow
