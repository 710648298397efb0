// Gives equal unwind rules one number, so that a table row needs eight bytes.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "sampler/unwind/unwind_rule.h"

namespace whyslow {

class RuleInterner {
 public:
  // Bounds what a hostile file can make us keep; real modules have some thousand.
  static constexpr size_t kMaxRules = size_t{1} << 20;
  static constexpr size_t kMaxOthers = size_t{1} << 20;
  static constexpr size_t kMaxExpressions = size_t{1} << 16;
  static constexpr size_t kMaxExpressionBytes = 4096;

  explicit RuleInterner(RuleSet& rules);

  // `rule` without its others, which are given apart. 0 (no rule) when there are too many.
  uint32_t Intern(UnwindRule rule, std::span<const RegisterRule> others);
  // Equal addresses of the bytes mean equal expressions. nullopt when there are too many.
  std::optional<int32_t> InternExpression(std::span<const std::byte> bytes);

 private:
  struct RuleHash {
    size_t operator()(const UnwindRule& rule) const;
  };

  // Where in RuleSet::others this list is. nullopt when there are too many.
  std::optional<uint32_t> InternOthers(std::span<const RegisterRule> others);

  RuleSet& rules_;
  absl::flat_hash_map<UnwindRule, uint32_t, RuleHash> numbers_;
  // Hash of a list (probed upwards on a clash) to its place.
  struct Place {
    uint32_t first = 0;
    uint32_t count = 0;
  };
  absl::flat_hash_map<uint64_t, Place> others_;
  absl::flat_hash_map<const std::byte*, int32_t> expressions_;
};

}  // namespace whyslow
