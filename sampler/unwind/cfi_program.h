// Runs the instructions of one function's CFI: at which address which rule begins to hold.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "sampler/registers.h"
#include "sampler/unwind/cfi_section.h"
#include "sampler/unwind/rule_interner.h"
#include "sampler/unwind/unwind_rule.h"

namespace whyslow {

// From this address on, up to the next row's, the rule holds.
struct CfiRow {
  uint32_t pc = 0;  // bytes from the module's base
  uint32_t rule = 0;
};

// The row of CFI's abstract table that the instructions work on.
class CfiState {
 public:
  explicit CfiState(Architecture architecture = kHostArchitecture);

  CfaKind cfa = CfaKind::kNone;
  uint8_t cfa_register = 0;
  bool return_address_signed = false;
  int32_t cfa_offset = 0;

  // Registers that walks never need (vectors) are dropped.
  void Set(uint64_t number, RegisterRule rule);
  void SetToInitial(uint64_t number, const CfiState& initial);
  void Unset(uint64_t number);

  // The rule in its interned form.
  uint32_t InternInto(RuleInterner& interner, const CfiCommon& common) const;

 private:
  RegisterRule RuleOf(uint8_t number) const;

  Architecture architecture_;
  uint64_t set_ = 0;  // bit n: rules_[n] counts
  std::array<RegisterRule, kMaxRegisters> rules_{};
};

// What a common record leaves behind, for each of its functions. nullopt: not understood.
std::optional<CfiState> RunCommonCfi(const CfiCommon& common, Architecture architecture,
                                     RuleInterner& interner);

// Appends the function's rows that begin before `limit`; addresses count from `base`. An
// instruction that makes no sense ends the rows with "no rule".
void RunFunctionCfi(const CfiFunction& function, std::span<const std::byte> instructions,
                    const CfiCommon& common, const CfiState& initial, uint64_t base, uint64_t limit,
                    RuleInterner& interner, std::vector<CfiRow>& rows);

}  // namespace whyslow
