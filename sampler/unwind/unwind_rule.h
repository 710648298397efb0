// How to get from a frame to its caller's, in a form that all code of a module can share.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sampler/registers.h"

namespace whyslow {

// Where the caller's value of a register is.
enum class Recovery : uint8_t {
  kSame,          // still in the register
  kUndefined,     // lost; for the return address: there is no caller
  kAtCfa,         // in memory at CFA + offset
  kCfaPlus,       // it is CFA + offset
  kRegister,      // in the register `source`
  kAtRegister,    // in memory at the register `source` + offset
  kAtExpression,  // in memory where expression `offset` leads
  kExpression,    // it is what expression `offset` yields
};

struct RegisterRule {
  Recovery how = Recovery::kSame;
  uint8_t number = 0;  // whose value this is
  uint8_t source = 0;
  uint8_t unused = 0;
  int32_t offset = 0;  // bytes, or an index into the expressions

  bool operator==(const RegisterRule&) const = default;
};
static_assert(sizeof(RegisterRule) == 8);

enum class CfaKind : uint8_t {
  kNone,  // no rule: nothing is known about this code
  kRegister,
  kInMemory,  // the word at register + offset
  kExpression,
};

// The CFA (canonical frame address) is the stack pointer of the caller once the call is over.
struct UnwindRule {
  CfaKind cfa = CfaKind::kNone;
  uint8_t cfa_register = 0;
  bool is_signal_frame = false;        // the caller was interrupted, it did not call
  bool return_address_signed = false;  // ARM64 pointer authentication
  int32_t cfa_offset = 0;              // bytes, or an index into the expressions
  RegisterRule return_address;
  RegisterRule frame_pointer;
  // Other registers that do not simply keep their value, in RuleSet::others.
  uint32_t first_other = 0;
  uint32_t other_count = 0;

  bool operator==(const UnwindRule&) const = default;
};
static_assert(sizeof(UnwindRule) == 32);

// The distinct rules of one module, and what they refer to.
struct RuleSet {
  std::vector<UnwindRule> rules;  // [0] says that there is no rule
  std::vector<RegisterRule> others;
  std::vector<std::vector<std::byte>> expressions;  // DWARF

  std::span<const RegisterRule> OthersOf(const UnwindRule& rule) const {
    return std::span(others).subspan(rule.first_other, rule.other_count);
  }
};

// The numbers of the three registers that every walk follows.
struct WalkRegisters {
  uint8_t pc;
  uint8_t sp;
  uint8_t fp;
  // The column that CFI uses for the return address.
  uint8_t return_address;
};
constexpr WalkRegisters WalkRegistersOf(Architecture architecture) {
  return architecture == Architecture::kX86_64
             ? WalkRegisters{x86::kRip, x86::kRsp, x86::kRbp, x86::kRip}
             : WalkRegisters{arm64::kPc, arm64::kSp, arm64::kFp, arm64::kLr};
}

}  // namespace whyslow
