#include "sampler/unwind/cfi_program.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "base/byte_reader.h"

namespace whyslow {
namespace {

// Compilers nest two deep; each level costs a copy of the state.
constexpr size_t kMaxRemembered = 32;

enum Opcode : uint8_t {  // DW_CFA_*
  kNop = 0x00,
  kSetLoc = 0x01,
  kAdvanceLoc1 = 0x02,
  kAdvanceLoc2 = 0x03,
  kAdvanceLoc4 = 0x04,
  kOffsetExtended = 0x05,
  kRestoreExtended = 0x06,
  kUndefinedRule = 0x07,
  kSameValue = 0x08,
  kInRegister = 0x09,
  kRememberState = 0x0a,
  kRestoreState = 0x0b,
  kDefCfa = 0x0c,
  kDefCfaRegister = 0x0d,
  kDefCfaOffset = 0x0e,
  kDefCfaExpression = 0x0f,
  kExpressionRule = 0x10,
  kOffsetExtendedSf = 0x11,
  kDefCfaSf = 0x12,
  kDefCfaOffsetSf = 0x13,
  kValOffset = 0x14,
  kValOffsetSf = 0x15,
  kValExpression = 0x16,
  kNegateRaState = 0x2d,  // GNU_window_save elsewhere
  kGnuArgsSize = 0x2e,
  kGnuNegativeOffsetExtended = 0x2f,
  // The high two bits; the low six are the operand.
  kAdvanceLoc = 0x40,
  kOffset = 0x80,
  kRestore = 0xc0,
};

std::optional<int32_t> Narrow(int64_t value) {
  if (value < std::numeric_limits<int32_t>::min() || value > std::numeric_limits<int32_t>::max()) {
    return std::nullopt;
  }
  return static_cast<int32_t>(value);
}

// Products wrap instead of being undefined; Narrow then refuses what no compiler means.
int64_t Scaled(int64_t value, int64_t factor) {
  return static_cast<int64_t>(static_cast<uint64_t>(value) * static_cast<uint64_t>(factor));
}

class Interpreter {
 public:
  Interpreter(const CfiCommon& common, RuleInterner& interner, const CfiState& state)
      : common_(common), interner_(interner), state_(state), initial_(state) {}

  const CfiState& state() const { return state_; }

  // `advance(delta)` is told of each step forward before the state changes; false ends the run.
  // Returns false for instructions that make no sense.
  template <class Advance>
  bool Run(std::span<const std::byte> instructions, Advance advance) {
    ByteReader cursor(instructions);
    while (!cursor.at_end()) {
      const uint8_t opcode = cursor.U8();
      const std::optional<uint64_t> step = StepOf(opcode, cursor);
      if (step) {
        if (!cursor.ok()) {
          return false;
        }
        if (!advance(*step * common_.code_align)) {
          return true;
        }
        continue;
      }
      if (!Execute(opcode, cursor) || !cursor.ok()) {
        return false;
      }
    }
    return true;
  }

 private:
  static std::optional<uint64_t> StepOf(uint8_t opcode, ByteReader& cursor) {
    if ((opcode & 0xc0) == kAdvanceLoc) {
      return opcode & 0x3f;
    }
    switch (opcode) {
      case kAdvanceLoc1:
        return cursor.U8();
      case kAdvanceLoc2:
        return cursor.Fixed<uint16_t>();
      case kAdvanceLoc4:
        return cursor.U32();
      default:
        return std::nullopt;
    }
  }

  bool Execute(uint8_t opcode, ByteReader& cursor) {
    if ((opcode & 0xc0) == kOffset) {
      return SetOffset(opcode & 0x3f, Recovery::kAtCfa,
                       Scaled(static_cast<int64_t>(cursor.Uleb()), common_.data_align));
    }
    if ((opcode & 0xc0) == kRestore) {
      state_.SetToInitial(opcode & 0x3f, initial_);
      return true;
    }
    if (opcode == kDefCfa || (opcode >= kDefCfaRegister && opcode <= kDefCfaExpression) ||
        opcode == kDefCfaSf || opcode == kDefCfaOffsetSf) {
      return DefineCfa(opcode, cursor);
    }
    switch (opcode) {
      case kNop:
        return true;
      case kRememberState:
        if (remembered_.size() >= kMaxRemembered) {
          return false;
        }
        remembered_.push_back(state_);
        return true;
      case kRestoreState:
        if (remembered_.empty()) {
          return false;
        }
        state_ = remembered_.back();
        remembered_.pop_back();
        return true;
      case kGnuArgsSize:
        cursor.Uleb();
        return true;
      case kNegateRaState:
        state_.return_address_signed = !state_.return_address_signed;
        return true;
      default:
        return SetRegister(opcode, cursor);
    }
  }

  bool DefineCfa(uint8_t opcode, ByteReader& cursor) {
    if (opcode == kDefCfaExpression) {
      const std::optional<int32_t> expression =
          interner_.InternExpression(cursor.Block(cursor.Uleb()));
      if (!expression) {
        return false;
      }
      state_.cfa = CfaKind::kExpression;
      state_.cfa_register = 0;
      state_.cfa_offset = *expression;
      return true;
    }
    if (opcode == kDefCfa || opcode == kDefCfaRegister || opcode == kDefCfaSf) {
      const uint64_t number = cursor.Uleb();
      if (number >= kMaxRegisters) {
        return false;
      }
      if (state_.cfa == CfaKind::kExpression) {
        state_.cfa_offset = 0;
      }
      state_.cfa = CfaKind::kRegister;
      state_.cfa_register = static_cast<uint8_t>(number);
    }
    if (opcode == kDefCfaRegister) {
      return true;
    }
    const bool is_scaled = opcode == kDefCfaSf || opcode == kDefCfaOffsetSf;
    const std::optional<int32_t> offset =
        Narrow(is_scaled ? Scaled(cursor.Sleb(), common_.data_align)
                         : static_cast<int64_t>(cursor.Uleb()));
    if (!offset || state_.cfa != CfaKind::kRegister) {
      return false;
    }
    state_.cfa_offset = *offset;
    return true;
  }

  bool SetOffset(uint64_t number, Recovery how, int64_t offset) {
    const std::optional<int32_t> narrow = Narrow(offset);
    if (narrow) {
      state_.Set(number, {.how = how, .offset = *narrow});
    }
    return narrow.has_value();
  }

  bool SetRegister(uint8_t opcode, ByteReader& cursor) {
    const uint64_t number = cursor.Uleb();
    switch (opcode) {
      case kOffsetExtended:
      case kValOffset:
        return SetOffset(number, opcode == kValOffset ? Recovery::kCfaPlus : Recovery::kAtCfa,
                         Scaled(static_cast<int64_t>(cursor.Uleb()), common_.data_align));
      case kOffsetExtendedSf:
      case kValOffsetSf:
        return SetOffset(number, opcode == kValOffsetSf ? Recovery::kCfaPlus : Recovery::kAtCfa,
                         Scaled(cursor.Sleb(), common_.data_align));
      case kGnuNegativeOffsetExtended:
        return SetOffset(
            number, Recovery::kAtCfa,
            Scaled(-static_cast<int64_t>(cursor.Uleb() & 0xffffffff), common_.data_align));
      case kRestoreExtended:
        state_.SetToInitial(number, initial_);
        return true;
      case kUndefinedRule:
        state_.Set(number, {.how = Recovery::kUndefined});
        return true;
      case kSameValue:
        state_.Unset(number);
        return true;
      case kInRegister: {
        const uint64_t source = cursor.Uleb();
        if (source >= kMaxRegisters) {
          state_.Set(number, {.how = Recovery::kUndefined});
        } else {
          state_.Set(number, {.how = Recovery::kRegister, .source = static_cast<uint8_t>(source)});
        }
        return true;
      }
      case kExpressionRule:
      case kValExpression: {
        const std::optional<int32_t> expression =
            interner_.InternExpression(cursor.Block(cursor.Uleb()));
        if (expression) {
          state_.Set(number, {.how = opcode == kExpressionRule ? Recovery::kAtExpression
                                                               : Recovery::kExpression,
                              .offset = *expression});
        }
        return expression.has_value();
      }
      default:  // kSetLoc and what nobody has defined
        return false;
    }
  }

  const CfiCommon& common_;
  RuleInterner& interner_;
  CfiState state_;
  CfiState initial_;
  std::vector<CfiState> remembered_;
};

}  // namespace

CfiState::CfiState(Architecture architecture) : architecture_(architecture) {}

void CfiState::Set(uint64_t number, RegisterRule rule) {
  if (number < kMaxRegisters) {
    rule.number = static_cast<uint8_t>(number);
    rules_[number] = rule;
    set_ |= uint64_t{1} << number;
  }
}

void CfiState::Unset(uint64_t number) {
  if (number < kMaxRegisters) {
    set_ &= ~(uint64_t{1} << number);
  }
}

void CfiState::SetToInitial(uint64_t number, const CfiState& initial) {
  if (number < kMaxRegisters && (initial.set_ >> number & 1) != 0) {
    Set(number, initial.rules_[number]);
  } else {
    Unset(number);
  }
}

RegisterRule CfiState::RuleOf(uint8_t number) const {
  return (set_ >> number & 1) != 0 ? rules_[number] : RegisterRule{.number = number};
}

uint32_t CfiState::InternInto(RuleInterner& interner, const CfiCommon& common) const {
  const WalkRegisters walk = WalkRegistersOf(architecture_);
  UnwindRule rule{.cfa = cfa,
                  .cfa_register = cfa_register,
                  .is_signal_frame = common.is_signal_frame,
                  .return_address_signed = return_address_signed,
                  .cfa_offset = cfa_offset,
                  .return_address = RuleOf(common.return_register),
                  .frame_pointer = RuleOf(walk.fp)};
  uint64_t rest = set_ & ~(uint64_t{1} << common.return_register) & ~(uint64_t{1} << walk.fp);
  std::array<RegisterRule, kMaxRegisters> others;
  size_t count = 0;
  for (; rest != 0; rest &= rest - 1) {
    others[count++] = rules_[static_cast<size_t>(std::countr_zero(rest))];
  }
  return interner.Intern(rule, std::span(others).first(count));
}

std::optional<CfiState> RunCommonCfi(const CfiCommon& common, Architecture architecture,
                                     RuleInterner& interner) {
  Interpreter interpreter(common, interner, CfiState(architecture));
  const bool understood =
      interpreter.Run(common.instructions, [](uint64_t) { return /*go_on=*/false; });
  return understood ? std::optional(interpreter.state()) : std::nullopt;
}

void RunFunctionCfi(const CfiFunction& function, std::span<const std::byte> instructions,
                    const CfiCommon& common, const CfiState& initial, uint64_t base, uint64_t limit,
                    RuleInterner& interner, std::vector<CfiRow>& rows) {
  Interpreter interpreter(common, interner, initial);
  uint64_t at = function.start - base;
  const uint64_t end = std::min(function.end(), limit) - base;
  const auto add = [&rows, &at](uint32_t rule) {
    if (rows.empty() || rows.back().rule != rule) {
      rows.push_back({static_cast<uint32_t>(at), rule});
    }
  };
  const bool understood = interpreter.Run(instructions, [&](uint64_t delta) {
    if (delta > 0) {
      add(interpreter.state().InternInto(interner, common));
    }
    if (delta >= end - at) {
      at = end;
      return false;
    }
    at += delta;
    return true;
  });
  if (at < end) {
    add(understood ? interpreter.state().InternInto(interner, common) : 0);
  }
}

}  // namespace whyslow
