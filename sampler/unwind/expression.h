// Evaluates the DWARF expressions that appear in call frame information.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "sampler/registers.h"
#include "sampler/unwind/word_reader.h"

namespace whyslow {

struct ExpressionInput {
  const UserRegisters& registers;  // of the frame whose caller is sought
  WordReader& words;
  // Runtime address of ELF address 0, for constants that are addresses.
  uint64_t load_bias = 0;
  // Pushed first: the CFA for register rules, nothing for the CFA itself.
  std::optional<uint64_t> initial;
};

enum class ExpressionFailure : uint8_t { kNone, kRegisterUnknown, kMemory, kMalformed };

struct ExpressionResult {
  uint64_t value = 0;
  ExpressionFailure failure = ExpressionFailure::kNone;

  bool ok() const { return failure == ExpressionFailure::kNone; }
};

// At most some hundred steps, whatever the bytes say (expressions can loop).
ExpressionResult EvaluateExpression(std::span<const std::byte> bytes, const ExpressionInput& input);

}  // namespace whyslow
