#include "sampler/unwind/code_shape.h"

#include <utility>

namespace whyslow {
namespace {

RegisterRule AtCfa(int32_t offset, uint8_t number = 0) {
  return {.how = Recovery::kAtCfa, .number = number, .offset = offset};
}

UnwindRule FromRegister(uint8_t cfa_register, int32_t cfa_offset, RegisterRule return_address,
                        RegisterRule frame_pointer = {}) {
  return {.cfa = CfaKind::kRegister,
          .cfa_register = cfa_register,
          .cfa_offset = cfa_offset,
          .return_address = return_address,
          .frame_pointer = frame_pointer};
}

// The kernel's struct rt_sigframe as seen by the trampoline (sp has passed the return address):
// ucontext: flags 8, link 8, stack 24, then the registers in the order of sigcontext.
UnwindRule X86SignalRule(RuleSet& set) {
  constexpr int32_t kRegistersAt = 40;
  constexpr std::array<uint8_t, 17> kOrder = {8, 9, 10, 11, 12, 13, 14, 15, 5,
                                              4, 6, 3,  1,  0,  2,  7,  16};
  UnwindRule rule = FromRegister(x86::kRsp, 0, {});
  rule.is_signal_frame = true;
  rule.first_other = static_cast<uint32_t>(set.others.size());
  for (size_t i = 0; i < kOrder.size(); ++i) {
    const RegisterRule saved = AtCfa(kRegistersAt + static_cast<int32_t>(i) * 8, kOrder[i]);
    if (kOrder[i] == x86::kRip) {
      rule.return_address = saved;
    } else if (kOrder[i] == x86::kRbp) {
      rule.frame_pointer = saved;
    } else {
      set.others.push_back(saved);
      ++rule.other_count;
    }
  }
  return rule;
}

// siginfo 128, then ucontext: flags 8, link 8, stack 24, mask 128, aligned to 16; then
// fault_address 8, x0..x30, sp, pc.
UnwindRule Arm64SignalRule(RuleSet& set) {
  constexpr int32_t kRegistersAt = 128 + 176 + 8;
  UnwindRule rule = FromRegister(arm64::kSp, 0, AtCfa(kRegistersAt + 32 * 8, arm64::kPc),
                                 AtCfa(kRegistersAt + arm64::kFp * 8, arm64::kFp));
  rule.is_signal_frame = true;
  rule.first_other = static_cast<uint32_t>(set.others.size());
  for (uint8_t number = 0; number <= arm64::kSp; ++number) {
    if (number != arm64::kFp) {
      set.others.push_back(AtCfa(kRegistersAt + number * 8, number));
      ++rule.other_count;
    }
  }
  return rule;
}

constexpr uint32_t kArmMoveSyscallNumber = 0xd2801168;  // mov x8, #139
constexpr uint32_t kArmSvc = 0xd4000001;

// Bytes at `at`: endbr64 is skipped by the caller. `jmp *x(%rip)`, perhaps with a bnd prefix.
bool IsIndirectJump(const CodeWindow& code, int at) {
  return code.Has(at, 0xff, 0x25) || code.Has(at, 0xf2, 0xff, 0x25);
}
bool IsNearJump(const CodeWindow& code, int at) {
  return code.Has(at, 0xe9) || code.Has(at, 0xf2, 0xe9);
}

std::optional<Shape> X86PltShape(const CodeWindow& code) {
  // From the start of the stub, or after its endbr64.
  const int at = code.Has(0, 0xf3, 0x0f, 0x1e, 0xfa) ? 4 : 0;
  if (IsIndirectJump(code, at)) {
    // The stub common to all, which pushes the link map first, ends with the same instruction.
    if (at == 0 && code.Has(-6, 0xff, 0x35)) {
      return Shape::kReturnAboveTwo;
    }
    return Shape::kReturnOnTop;
  }
  // push $index; jmp common
  if (code.Has(at, 0x68) && IsNearJump(code, at + 5)) {
    return Shape::kReturnOnTop;
  }
  if (IsNearJump(code, 0) && code.Has(-5, 0x68)) {
    return Shape::kReturnAboveOne;
  }
  // The common stub: push link_map(%rip); jmp *resolver(%rip)
  if (code.Has(0, 0xff, 0x35) && IsIndirectJump(code, 6)) {
    return Shape::kReturnAboveOne;
  }
  return std::nullopt;
}

// From `at` on, registers are saved, r10 among them. After a frame pointer was set up that is how
// GCC saves the CFA of a frame that it has aligned, whose return address lies elsewhere.
bool SavesR10(const CodeWindow& code, int at) {
  for (int saved = 0; saved < 6; ++saved) {
    if (code.Has(at, 0x41, 0x52)) {
      return true;
    }
    if (code.Has(at, 0x53)) {  // push %rbx
      at += 1;
    } else if (code.Has(at, 0x41) && code.Byte(at + 1) >= 0x54 && code.Byte(at + 1) <= 0x57) {
      at += 2;  // push %r12 .. %r15
    } else {
      return false;
    }
  }
  return false;
}

std::optional<Shape> X86LeafShape(const CodeWindow& code) {
  if (const std::optional<Shape> plt = X86PltShape(code)) {
    return plt;
  }
  // ret, repz ret, bnd ret, ret $n
  if (code.Has(0, 0xc3) || code.Has(0, 0xf3, 0xc3) || code.Has(0, 0xf2, 0xc3) ||
      code.Has(0, 0xc2)) {
    return Shape::kReturnOnTop;
  }
  const auto sets_frame = [&code](int at) {  // mov %rsp,%rbp in both encodings
    return code.Has(at, 0x48, 0x89, 0xe5) || code.Has(at, 0x48, 0x8b, 0xec);
  };
  // [endbr64] push %rbp; mov %rsp,%rbp
  const int at = code.Has(0, 0xf3, 0x0f, 0x1e, 0xfa) ? 4 : 0;
  if (code.Has(at, 0x55) && sets_frame(at + 1) && !SavesR10(code, at + 4)) {
    return Shape::kReturnOnTop;
  }
  if (sets_frame(0) && code.Has(-1, 0x55) && !SavesR10(code, 3)) {
    return Shape::kFramePushed;
  }
  // pop %rbp; ret or a tail call
  if (code.Has(0, 0x5d) &&
      (code.Has(1, 0xc3) || code.Has(1, 0xe9) || code.Has(1, 0xff) || code.Has(1, 0xf3, 0xc3))) {
    return Shape::kFramePushed;
  }
  // leave or pop %rbp came before this tail call
  if ((code.Has(0, 0xe9) || code.Has(0, 0xff, 0xe0)) &&
      (code.Has(-1, 0xc9) || code.Has(-1, 0x5d))) {
    return Shape::kReturnOnTop;
  }
  return std::nullopt;
}

constexpr bool IsArmFramePush(uint32_t word) {  // stp x29, x30, [sp, #-n]!
  return (word & 0xffc07fff) == 0xa9807bfd;
}

std::optional<Shape> Arm64LeafShape(const CodeWindow& code) {
  constexpr uint32_t kRet = 0xd65f03c0, kRetaa = 0xd65f0bff, kPaciasp = 0xd503233f,
                     kBti = 0xd503245f, kBranchX17 = 0xd61f0220, kSetFrame = 0x910003fd;
  const uint32_t now = code.Word(0);
  if (now == kRet || now == kRetaa || now == kPaciasp || now == kBti || IsArmFramePush(now)) {
    return Shape::kReturnOnTop;
  }
  if (now == kSetFrame && IsArmFramePush(code.Word(-4))) {
    return Shape::kFramePushed;
  }
  for (int at = 0; at <= 16; at += 4) {  // a PLT stub ends with br x17
    if (code.Word(at) == kBranchX17) {
      return Shape::kReturnOnTop;
    }
  }
  return std::nullopt;
}

}  // namespace

RuleSet MakeShapeRules(Architecture architecture) {
  RuleSet set;
  set.rules.resize(static_cast<size_t>(Shape::kCount));
  const auto rule = [&set](Shape shape) -> UnwindRule& {
    return set.rules[static_cast<size_t>(shape)];
  };
  if (architecture == Architecture::kX86_64) {
    rule(Shape::kReturnOnTop) = FromRegister(x86::kRsp, 8, AtCfa(-8));
    rule(Shape::kReturnAboveOne) = FromRegister(x86::kRsp, 16, AtCfa(-8));
    rule(Shape::kReturnAboveTwo) = FromRegister(x86::kRsp, 24, AtCfa(-8));
    rule(Shape::kFramePushed) = FromRegister(x86::kRsp, 16, AtCfa(-8), AtCfa(-16));
    rule(Shape::kFramePointer) = FromRegister(x86::kRbp, 16, AtCfa(-8), AtCfa(-16));
    rule(Shape::kSignalTrampoline) = X86SignalRule(set);
  } else {
    const RegisterRule in_link{.number = arm64::kLr};
    rule(Shape::kReturnOnTop) = FromRegister(arm64::kSp, 0, in_link);
    rule(Shape::kReturnAboveOne) = rule(Shape::kReturnOnTop);
    rule(Shape::kReturnAboveTwo) = rule(Shape::kReturnOnTop);
    rule(Shape::kFramePushed) = FromRegister(arm64::kSp, 16, AtCfa(-8), AtCfa(-16));
    rule(Shape::kFramePointer) = FromRegister(arm64::kFp, 16, AtCfa(-8), AtCfa(-16));
    rule(Shape::kSignalTrampoline) = Arm64SignalRule(set);
  }
  return set;
}

bool IsSignalTrampoline(const CodeWindow& code, Architecture architecture) {
  if (architecture == Architecture::kArm64) {
    return (code.Word(0) == kArmMoveSyscallNumber && code.Word(4) == kArmSvc) ||
           (code.Word(0) == kArmSvc && code.Word(-4) == kArmMoveSyscallNumber);
  }
  const auto moves_number = [&code](int long_at, int short_at) {  // mov $15,%rax or %eax
    return code.Has(long_at, 0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0) ||
           code.Has(short_at, 0xb8, 0x0f, 0, 0, 0);
  };
  if (code.Has(0, 0x0f, 0x05)) {
    return moves_number(-7, -5);
  }
  return (code.Has(0, 0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0) && code.Has(7, 0x0f, 0x05)) ||
         (code.Has(0, 0xb8, 0x0f, 0, 0, 0) && code.Has(5, 0x0f, 0x05));
}

std::optional<Shape> ShapeOfLeaf(const CodeWindow& code, Architecture architecture) {
  return architecture == Architecture::kX86_64 ? X86LeafShape(code) : Arm64LeafShape(code);
}

bool FollowsSystemCall(const CodeWindow& code, Architecture architecture) {
  return architecture == Architecture::kArm64 ? code.Word(-4) == kArmSvc : code.Has(-2, 0x0f, 0x05);
}

bool FollowsCall(const CodeWindow& code, Architecture architecture) {
  if (code.empty()) {
    return true;
  }
  if (architecture == Architecture::kArm64) {
    const uint32_t word = code.Word(-4);
    return (word & 0xfc000000) == 0x94000000 ||  // bl
           (word & 0xfffffc1f) == 0xd63f0000 ||  // blr
           (word & 0xfefff800) == 0xd63f0800;    // blraa and its kin
  }
  if (code.Has(-5, 0xe8)) {
    return true;
  }
  // call *: ff /2, in lengths from two bytes (register) to seven (base, index, 32-bit offset).
  for (int length = 2; length <= 7; ++length) {
    if (code.Byte(-length) == 0xff && (code.Byte(1 - length) & 0x38) == 2 << 3) {
      return true;
    }
  }
  return false;
}

}  // namespace whyslow
