#include "sampler/unwind/code_rules.h"

#include <algorithm>
#include <utility>

#include "sampler/unwind/code_shape.h"
#include "sampler/unwind/x86_scan.h"

namespace whyslow {
namespace {

// The entry code of a program without CFI is a few instructions that call into the C library.
constexpr uint64_t kEntryBytes = 48;

RuntimeAddress LookupOf(RuntimeAddress pc, bool is_exact) {
  return (is_exact ? RuntimeCodeAddress::At(pc) : RuntimeCodeAddress::ReturnTo(pc)).ForLookup();
}

StepKind StepFor(const UnwindRule& rule, const RuleSet& set, Architecture architecture) {
  const WalkRegisters walk = WalkRegistersOf(architecture);
  if (rule.cfa != CfaKind::kRegister || rule.is_signal_frame ||
      rule.return_address.how != Recovery::kAtCfa ||
      (rule.frame_pointer.how != Recovery::kSame && rule.frame_pointer.how != Recovery::kAtCfa)) {
    return StepKind::kGeneral;
  }
  if (std::ranges::any_of(set.OthersOf(rule),
                          [&](const RegisterRule& other) { return other.number == walk.sp; })) {
    return StepKind::kGeneral;
  }
  if (rule.cfa_register == walk.sp) {
    return StepKind::kStackPointer;
  }
  return rule.cfa_register == walk.fp ? StepKind::kFramePointer : StepKind::kGeneral;
}

// As far as the rules tell: nothing has been pushed since the call, or nothing is known.
bool MayStartFunction(const UnwindRule& rule, Architecture architecture) {
  const bool is_x86 = architecture == Architecture::kX86_64;
  return rule.cfa == CfaKind::kNone || (rule.cfa_register == WalkRegistersOf(architecture).sp &&
                                        rule.cfa_offset == (is_x86 ? 8 : 0));
}

// The rules tell that a function begins here.
bool StartsFunction(const UnwindRule& rule, Architecture architecture) {
  return rule.cfa != CfaKind::kNone && MayStartFunction(rule, architecture);
}

// makecontext lets the first function of a context return to the start of one that nothing calls.
bool NothingCalled(const CodeWindow& start, Architecture architecture) {
  return !FollowsCall(start, architecture) && !IsSignalTrampoline(start, architecture);
}

bool IsEntryCode(const Mapping& mapping, ElfAddress address) {
  const ElfFile* elf = mapping.module != nullptr ? mapping.module->elf() : nullptr;
  return elf != nullptr && address - elf->entry() < kEntryBytes;
}

// Where clone's system call returns, once to the caller and once in the new thread, CFI cannot
// speak for both. It is silent up to the code of the new thread alone, which says that nothing
// called it.
bool LeadsToRoot(const CfiTable& table, ElfAddress after_system_call) {
  constexpr uint64_t kNear = 32;  // bytes
  for (uint64_t distance = 1; distance < kNear; ++distance) {
    const UnwindRule& rule = table.Find(after_system_call + distance);
    if (rule.return_address.how == Recovery::kUndefined) {
      return true;
    }
    if (rule.cfa != CfaKind::kNone) {
      return false;
    }
  }
  return false;
}

}  // namespace

CodeRules::CodeRules(Architecture architecture, UnwindMode mode, CfiCache* cache)
    : architecture_(architecture),
      mode_(mode),
      table_cache_(cache),
      shapes_(MakeShapeRules(architecture)),
      frame_pointer_rule_(UseShape({}, shapes_.rules[static_cast<size_t>(Shape::kFramePointer)])),
      cache_(size_t{1} << kSlotBits) {}

bool CodeRules::ReturnsToEntryCode(RuntimeAddress pc, const AddressSpace& space) {
  const Mapping* mapping = space.Find(pc - 1);
  return mapping != nullptr && IsEntryCode(*mapping, mapping->ToElf(pc - 1));
}

bool CodeRules::FollowsCall(const CodeRule& rule, RuntimeAddress pc, const AddressSpace& space,
                            const TargetMemory& memory) const {
  if (rule.after_call == AfterCall::kNotLookedUp) {
    const CodeWindow code = CodeWindow::Read(pc, space.Find(pc - 1), memory);
    rule.after_call = whyslow::FollowsCall(code, architecture_) ? AfterCall::kYes : AfterCall::kNo;
  }
  return rule.after_call == AfterCall::kYes;
}

const CodeRules::ModuleCode& CodeRules::CodeOf(const ModuleFileRef& module) {
  const auto [at, is_new] = modules_.try_emplace(module);
  if (is_new && module != nullptr && module->elf() != nullptr) {
    const ElfFile& elf = *module->elf();
    at->second.table = std::make_unique<CfiTable>(
        table_cache_ != nullptr ? table_cache_->TableOf(elf) : CfiTable::FromElf(elf));
    at->second.is_go = elf.FindGoTable() != nullptr;
  }
  return at->second;
}

void CodeRules::UseCfi(CodeRule& result, const UnwindRule& rule, const CfiTable& table) const {
  result.set = &table.rules();
  result.rule = rule;
  result.is_signal_frame = rule.is_signal_frame;
  if (rule.return_address.how == Recovery::kUndefined) {
    result.step = StepKind::kStop;
    result.end = StackEnd::kRoot;
    return;
  }
  if (architecture_ == Architecture::kX86_64 && rule.return_address.how == Recovery::kSame) {
    return;  // stays kStop: a call always puts it into memory
  }
  result.step = StepFor(rule, *result.set, architecture_);
  result.end = StackEnd::kBadMemory;
}

CodeRule CodeRules::UseShape(CodeRule base, const UnwindRule& rule) const {
  base.set = &shapes_;
  base.rule = rule;
  base.is_signal_frame = rule.is_signal_frame;
  base.step = StepFor(rule, shapes_, architecture_);
  return base;
}

CodeRule CodeRules::WithoutCfi(CodeRule base, RuntimeAddress pc, bool is_exact,
                               const Mapping* mapping, const TargetMemory& memory) {
  const CodeWindow code = CodeWindow::Read(pc, mapping, memory);
  const auto shape_rule = [this](Shape shape) -> const UnwindRule& {
    return shapes_.rules[static_cast<size_t>(shape)];
  };
  if (IsSignalTrampoline(code, architecture_)) {
    return UseShape(base, shape_rule(Shape::kSignalTrampoline));
  }
  const std::optional<Shape> seen =
      is_exact ? ShapeOfLeaf(code, architecture_) : std::optional<Shape>();
  if (seen && *seen != Shape::kFramePushed) {
    return UseShape(base, shape_rule(*seen));
  }
  if (mode_ == UnwindMode::kDwarf) {
    return base;
  }
  std::vector<CodeRule> guesses;
  if (seen) {
    guesses.push_back(UseShape(base, shape_rule(*seen)));
  }
  const bool is_file = mapping != nullptr && mapping->module != nullptr;
  if (architecture_ == Architecture::kX86_64 && is_file &&
      (is_exact || mode_ != UnwindMode::kFramePointers)) {
    CodeStream stream(mapping, memory);
    for (const UnwindRule& rule : ScanForReturn(pc.value(), is_exact, stream)) {
      guesses.push_back(UseShape(base, rule));
    }
    if (!is_exact && PassesResultToCall(pc.value(), stream)) {
      base.end = StackEnd::kRoot;
    }
  }
  guesses.push_back(UseShape(base, shape_rule(Shape::kFramePointer)));
  base.step = StepKind::kGuess;
  base.rule.first_other = static_cast<uint32_t>(guesses_.size());
  guesses_.push_back(std::move(guesses));
  return base;
}

std::optional<CodeRule> CodeRules::FromRuntime(RuntimeAddress lookup,
                                               const JitUnwindTable& jit) const {
  const std::optional<JitUnwindTable::Place> place = jit.Find(lookup);
  if (!place) {
    return std::nullopt;
  }
  const UnwindRule& rule = place->table->Find(place->address);
  const bool is_root = rule.return_address.how == Recovery::kUndefined;
  const bool is_usable = mode_ != UnwindMode::kFramePointers || rule.is_signal_frame || is_root;
  if ((rule.cfa == CfaKind::kNone && !is_root) || !is_usable) {
    return std::nullopt;
  }
  CodeRule result;
  result.is_mapped = true;
  result.end = StackEnd::kNoUnwindInfo;
  result.load_bias = place->load_bias;
  UseCfi(result, rule, *place->table);
  return result;
}

CodeRule CodeRules::Make(RuntimeAddress pc, bool is_exact, const CodeMap& map,
                         const TargetMemory& memory) {
  if (map.jit() != nullptr) {
    const RuntimeAddress lookup = LookupOf(pc, is_exact);
    const Mapping* mapping = map.space().Find(lookup);
    const bool is_file = mapping != nullptr && mapping->module != nullptr;
    const std::optional<CodeRule> told = is_file ? std::nullopt : FromRuntime(lookup, *map.jit());
    if (told) {
      return *told;
    }
  }
  return FromMapping(pc, is_exact, map.space(), memory);
}

CodeRule CodeRules::FromMapping(RuntimeAddress pc, bool is_exact, const AddressSpace& space,
                                const TargetMemory& memory) {
  const RuntimeAddress lookup = LookupOf(pc, is_exact);
  CodeRule result;
  const Mapping* mapping = space.Find(lookup);
  if (mapping == nullptr) {
    // A trampoline may begin a mapping; a leaf may run in memory that we were not told of.
    mapping = space.Find(pc);
    if (mapping == nullptr) {
      return is_exact ? WithoutCfi(result, pc, is_exact, nullptr, memory) : result;
    }
  }
  result.is_mapped = true;
  result.end = StackEnd::kNoUnwindInfo;
  result.load_bias = 0 - mapping->elf_bias;
  const ModuleCode& module = CodeOf(mapping->module);
  const CfiTable* table = module.table.get();
  result.is_go = module.is_go;
  const UnwindRule none;
  const UnwindRule& rule = table != nullptr ? table->Find(mapping->ToElf(lookup)) : none;
  // Go's CFI says nothing of the frame pointer, on which its walks depend where stacks change.
  const bool is_usable = !module.is_go || mode_ == UnwindMode::kDwarf;
  const bool has_rule =
      is_usable && (rule.cfa != CfaKind::kNone || rule.return_address.how == Recovery::kUndefined);
  const bool is_root = rule.return_address.how == Recovery::kUndefined;
  if (has_rule && (mode_ != UnwindMode::kFramePointers || rule.is_signal_frame || is_root)) {
    // Nothing calls a signal trampoline, so the byte before it is not part of it; unless its CFI
    // says so (rule.is_signal_frame), what the byte before it belongs to is of no interest.
    if (is_exact || rule.is_signal_frame ||
        !MayStartFunction(table->Find(mapping->ToElf(pc)), architecture_) ||
        !IsSignalTrampoline(CodeWindow::Read(pc, mapping, memory), architecture_)) {
      UseCfi(result, rule, *table);
      return result;
    }
  }
  if (IsEntryCode(*mapping, mapping->ToElf(lookup))) {
    result.end = StackEnd::kRoot;
    return result;
  }
  if (!is_exact && table != nullptr && !has_rule &&
      StartsFunction(table->Find(mapping->ToElf(pc)), architecture_) &&
      NothingCalled(CodeWindow::Read(pc, mapping, memory), architecture_)) {
    result.end = StackEnd::kRoot;
    result.is_function_start = true;
    return result;
  }
  if (is_exact && table != nullptr && rule.cfa == CfaKind::kNone &&
      FollowsSystemCall(CodeWindow::Read(pc, mapping, memory), architecture_) &&
      LeadsToRoot(*table, mapping->ToElf(pc))) {
    result.end = StackEnd::kRoot;
  }
  return WithoutCfi(result, pc, is_exact, mapping, memory);
}

}  // namespace whyslow
