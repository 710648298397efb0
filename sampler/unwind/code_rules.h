// For each code address that was met: the rule that applies there, found once and kept.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/address.h"
#include "sampler/target/address_space.h"
#include "sampler/target/target_memory.h"
#include "sampler/unwind/cfi_cache.h"
#include "sampler/unwind/cfi_table.h"
#include "sampler/unwind/code_reader.h"
#include "sampler/unwind/jit_unwind_table.h"
#include "sampler/unwind/stack_end.h"
#include "sampler/unwind/unwind_rule.h"

namespace whyslow {

// All that is known of the code of one process, at one moment. Borrows both.
class CodeMap {
 public:
  CodeMap(const AddressSpace& space, const JitUnwindTable* jit)
      : space_(space),
        jit_(jit),
        version_(std::max(space.version(), jit != nullptr ? jit->version() : 0)) {}

  const AddressSpace& space() const { return space_; }
  const JitUnwindTable* jit() const { return jit_; }  // may be null
  // Each change of either of the two takes a version above all that were given before, so that the
  // larger one stands for both. (No table stands for one that never changed.)
  uint32_t version() const { return version_; }

 private:
  const AddressSpace& space_;
  const JitUnwindTable* jit_;
  uint32_t version_;
};

// What to do in a frame.
enum class StepKind : uint8_t {
  kStop,          // nothing leads on: `end` says why
  kStackPointer,  // the CFA is sp + n; return address and frame pointer are in memory or unchanged
  kFramePointer,  // the CFA is fp + n; the same
  kGeneral,       // anything else a rule can say
  kGuess,         // no rule: some ways to go on, to be tried until one looks right
};

enum class AfterCall : uint8_t { kNotLookedUp, kYes, kNo };

struct alignas(64) CodeRule {
  uint64_t key = 0;
  uint32_t map = 0;  // CodeMap::version
  StepKind step = StepKind::kStop;
  // Why the walk ends here: for kStop, and for a guess that fails.
  StackEnd end = StackEnd::kUnknownMapping;
  bool is_mapped : 1 = false;
  bool is_signal_frame : 1 = false;
  // Go's runtime changes stacks without a word in its CFI, but keeps the chain of frame pointers
  // and clears it at each root.
  bool is_go : 1 = false;
  // The address is the start of a function that nothing called: it was put on the stack by hand.
  bool is_function_start : 1 = false;
  // A call instruction stands before the address.
  mutable AfterCall after_call = AfterCall::kNotLookedUp;
  const RuleSet* set = nullptr;
  uint64_t load_bias = 0;
  UnwindRule rule;
};
static_assert(sizeof(CodeRule) == 64);

// Used by one thread. Keeps one compiled table a module, shared by all processes that map it.
class CodeRules {
 public:
  // `cache` may be null: every table is compiled then.
  CodeRules(Architecture architecture, UnwindMode mode, CfiCache* cache);

  // `is_exact`: the thread was executing there; else a call will return there. The reference is
  // valid until the next call. Addresses from 2^63 on never have a rule.
  const CodeRule& Find(RuntimeAddress pc, bool is_exact, const CodeMap& map,
                       const TargetMemory& memory) {
    CodeRule& rule = cache_[Slot(pc.value())];
    const uint64_t key = pc.value() << 1 | static_cast<uint64_t>(is_exact);
    if (rule.key != key || rule.map != map.version()) {
      rule = Make(pc, is_exact, map, memory);
      rule.key = key;
      rule.map = map.version();
    }
    return rule;
  }
  // The usual frame, for code that is known to have it.
  const CodeRule& frame_pointer_rule() const { return frame_pointer_rule_; }
  // The ways to go on of a rule of kind kGuess, likeliest first. Valid until the next Trim().
  std::span<const CodeRule> GuessesOf(const CodeRule& rule) const {
    return guesses_[rule.rule.first_other];
  }
  // Bounds what is kept. To be called between stacks.
  void Trim() {
    if (guesses_.size() >= kMaxGuesses) {
      guesses_.clear();
      cache_.assign(cache_.size(), {});
    }
  }
  // Whether the call before this address is in a program's entry code.
  static bool ReturnsToEntryCode(RuntimeAddress pc, const AddressSpace& space);
  // Whether a call instruction stands before this address, whose rule is `rule`.
  bool FollowsCall(const CodeRule& rule, RuntimeAddress pc, const AddressSpace& space,
                   const TargetMemory& memory) const;

 private:
  static constexpr size_t kSlotBits = 12;
  static size_t Slot(uint64_t pc) {
    return static_cast<size_t>(pc * 0x9e3779b97f4a7c15 >> (64 - kSlotBits));
  }

  CodeRule Make(RuntimeAddress pc, bool is_exact, const CodeMap& map, const TargetMemory& memory);
  CodeRule FromMapping(RuntimeAddress pc, bool is_exact, const AddressSpace& space,
                       const TargetMemory& memory);
  // By what the runtime that made the code has told. nullopt: nothing that could be used.
  std::optional<CodeRule> FromRuntime(RuntimeAddress lookup, const JitUnwindTable& jit) const;
  // Where no CFI speaks. `base` has what is known of the mapping.
  CodeRule WithoutCfi(CodeRule base, RuntimeAddress pc, bool is_exact, const Mapping* mapping,
                      const TargetMemory& memory);
  CodeRule UseShape(CodeRule base, const UnwindRule& rule) const;
  void UseCfi(CodeRule& result, const UnwindRule& rule, const CfiTable& table) const;
  struct ModuleCode {
    std::unique_ptr<CfiTable> table;  // null for a module that is no ELF file
    bool is_go = false;
  };
  const ModuleCode& CodeOf(const ModuleFileRef& module);

  Architecture architecture_;
  UnwindMode mode_;
  CfiCache* table_cache_;
  RuleSet shapes_;
  CodeRule frame_pointer_rule_;
  // By the module itself, which the entry keeps alive.
  absl::flat_hash_map<ModuleFileRef, ModuleCode> modules_;
  // Lists for rules of kind kGuess, by UnwindRule::first_other. Emptied, with the cache, when it
  // has grown too large.
  static constexpr size_t kMaxGuesses = size_t{1} << 16;
  std::vector<std::vector<CodeRule>> guesses_;
  // Direct-mapped; 4096 of 64 bytes fit the second-level cache, and a server's hot code fits 4096.
  std::vector<CodeRule> cache_;
};

}  // namespace whyslow
