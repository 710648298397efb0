#include "sampler/unwind/rule_interner.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace whyslow {
namespace {

// Multiply and fold; the tables are small and their keys are not chosen to clash often enough to
// matter: lists are compared, and a clash costs one more probe.
uint64_t Mix(uint64_t state, uint64_t word) {
  state = (state ^ word) * 0x9fb21c651e98df25;
  return state ^ (state >> 32);
}

uint64_t WordOf(const RegisterRule& rule) { return std::bit_cast<uint64_t>(rule); }

}  // namespace

RuleInterner::RuleInterner(RuleSet& rules) : rules_(rules) {
  rules_.rules.assign(1, UnwindRule{});
  numbers_.emplace(UnwindRule{}, 0);
}

size_t RuleInterner::RuleHash::operator()(const UnwindRule& rule) const {
  std::array<uint64_t, 4> words;
  static_assert(sizeof(words) == sizeof(rule));
  std::memcpy(words.data(), &rule, sizeof(rule));
  uint64_t state = 0;
  for (const uint64_t word : words) {
    state = Mix(state, word);
  }
  return state;
}

uint32_t RuleInterner::Intern(UnwindRule rule, std::span<const RegisterRule> others) {
  const std::optional<uint32_t> first = InternOthers(others);
  if (!first) {
    return 0;
  }
  rule.first_other = *first;
  rule.other_count = static_cast<uint32_t>(others.size());
  const auto found = numbers_.find(rule);
  if (found != numbers_.end()) {
    return found->second;
  }
  if (rules_.rules.size() >= kMaxRules) {
    return 0;
  }
  const auto number = static_cast<uint32_t>(rules_.rules.size());
  rules_.rules.push_back(rule);
  numbers_.emplace(rule, number);
  return number;
}

std::optional<uint32_t> RuleInterner::InternOthers(std::span<const RegisterRule> others) {
  if (others.empty()) {
    return 0;
  }
  uint64_t hash = others.size();
  for (const RegisterRule& other : others) {
    hash = Mix(hash, WordOf(other));
  }
  // A clash of 64 bits is an attack; after a few the list is given up.
  for (int probe = 0; probe < 4; ++probe, ++hash) {
    const auto found = others_.find(hash);
    if (found == others_.end()) {
      if (rules_.others.size() + others.size() > kMaxOthers) {
        return std::nullopt;
      }
      const auto first = static_cast<uint32_t>(rules_.others.size());
      rules_.others.insert(rules_.others.end(), others.begin(), others.end());
      others_.emplace(hash, Place{first, static_cast<uint32_t>(others.size())});
      return first;
    }
    const Place place = found->second;
    if (std::ranges::equal(std::span(rules_.others).subspan(place.first, place.count), others)) {
      return place.first;
    }
  }
  return std::nullopt;
}

std::optional<int32_t> RuleInterner::InternExpression(std::span<const std::byte> bytes) {
  const auto [at, is_new] =
      expressions_.try_emplace(bytes.data(), static_cast<int32_t>(rules_.expressions.size()));
  if (!is_new) {
    return at->second;
  }
  if (rules_.expressions.size() >= kMaxExpressions || bytes.size() > kMaxExpressionBytes) {
    expressions_.erase(at);
    return std::nullopt;
  }
  rules_.expressions.emplace_back(bytes.begin(), bytes.end());
  return at->second;
}

}  // namespace whyslow
