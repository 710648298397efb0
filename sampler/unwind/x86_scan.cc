#include "sampler/unwind/x86_scan.h"

#include <absl/container/flat_hash_set.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <optional>

#include "sampler/unwind/x86_instruction.h"

namespace whyslow {
namespace {

constexpr size_t kMaxInstructions = 3000;
constexpr size_t kMaxPaths = 48;  // waiting at one time
constexpr size_t kMaxCandidates = 4;
constexpr int64_t kMaxFrameBytes = int64_t{16} << 20;

constexpr uint8_t kRsp = 4, kRbp = 5, kR10 = 10;  // the machine's numbers

// What is known of a pointer: its distance from a value at the start. r10 is where GCC keeps the
// CFA of a function whose frame it aligns; it saves that in the frame.
struct Pointer {
  enum class Base : uint8_t { kUnknown, kSp, kFp, kAlign, kSavedAlign };
  Base base = Base::kUnknown;
  int64_t offset = 0;

  bool known() const { return base != Base::kUnknown; }
  Pointer Plus(int64_t bytes) const { return {base, offset + bytes}; }
  bool operator==(const Pointer&) const = default;
};

// rbp: its value, or the place of its value.
struct FramePointerState {
  enum class Kind : uint8_t { kValue, kInMemory, kUnknown };
  Kind kind = Kind::kValue;
  Pointer pointer{Pointer::Base::kFp, 0};
};

struct SavedFramePointer {
  Pointer slot;
  FramePointerState state;
};

struct Path {
  uint64_t pc = 0;
  Pointer sp{Pointer::Base::kSp, 0};
  FramePointerState fp;
  std::optional<SavedFramePointer> saved;  // by code on this path
  Pointer r10;
  Pointer pushed_r10;       // by code on this path
  Pointer saved_align;      // where the value lies that kSavedAlign counts from
  bool sets_frame = false;  // rbp was the caller's until this path set it
  uint64_t constant = 0;    // the last address that was loaded: a table, perhaps
};

class Scan {
 public:
  Scan(uint64_t pc, bool is_exact, CodeStream& code) : code_(code) {
    waiting_.push_back({.pc = pc, .constant = ConstantBefore(pc)});
    if (is_exact) {  // calls keep no r10
      waiting_.back().r10 = {Pointer::Base::kAlign, 0};
    }
  }

  std::vector<UnwindRule> Run() {
    while (!waiting_.empty()) {
      Path path = waiting_.back();
      waiting_.pop_back();
      while (budget_ > 0 && Advance(path)) {
        --budget_;
      }
    }
    std::ranges::stable_sort(found_, std::ranges::greater(), &Candidate::votes);
    std::vector<UnwindRule> rules;
    for (const Candidate& candidate : found_) {
      if (rules.size() < kMaxCandidates) {
        rules.push_back(candidate.rule);
      }
    }
    return rules;
  }

 private:
  struct Candidate {
    UnwindRule rule;
    int votes = 0;
  };

  // The start may lie between the loading of a table's address and the jump through it.
  uint64_t ConstantBefore(uint64_t pc) {
    constexpr uint64_t kLength = 7;
    for (uint64_t back = kLength; back <= kLength + 8; ++back) {
      const std::optional<X86Instruction> i = DecodeX86(code_.At(pc - back));
      if (i && i->map == X86Map::kOneByte && i->opcode == 0x8d && i->wide() && i->is_at_rip() &&
          i->length == kLength) {
        return pc - back + kLength + static_cast<uint64_t>(int64_t{i->displacement});
      }
    }
    return 0;
  }

  // One instruction. False: the path is over.
  bool Advance(Path& path) {
    if (!seen_.insert(path.pc).second) {
      return false;
    }
    const std::optional<X86Instruction> decoded = DecodeX86(code_.At(path.pc));
    if (!decoded) {
      return false;
    }
    const X86Instruction& i = *decoded;
    const uint64_t next = path.pc + i.length;
    const bool goes_on =
        i.map == X86Map::kOneByte ? OneByte(path, i, next) : TwoByte(path, i, next);
    return goes_on;
  }

  bool TwoByte(Path& path, const X86Instruction& i, uint64_t next) {
    path.pc = next;
    if (i.map != X86Map::k0f) {
      return true;
    }
    if (i.opcode >= 0x80 && i.opcode <= 0x8f) {
      Fork(path, next + static_cast<uint64_t>(i.immediate));
    }
    return i.opcode != 0x0b && i.opcode != 0xb9;  // ud2, ud1: what stands here is never reached
  }

  bool OneByte(Path& path, const X86Instruction& i, uint64_t next) {
    path.pc = next;
    switch (i.opcode) {
      case 0xc3:
      case 0xc2:
        Found(path);
        return false;
      case 0xe9:
      case 0xeb:
        path.pc = next + static_cast<uint64_t>(i.immediate);
        return true;
      case 0xcc:
      case 0xf4:  // int3, hlt: padding, or after a call that does not return
        return seen_.size() == 1;
      case 0xff:
        return IndirectGroup(path, i);
      default:
        break;
    }
    if (i.opcode >= 0x70 && i.opcode <= 0x7f) {
      Fork(path, next + static_cast<uint64_t>(i.immediate));
    } else {
      MoveStack(path, i);
    }
    return true;
  }

  // inc, dec, call, jmp, push of a register or memory operand.
  bool IndirectGroup(Path& path, const X86Instruction& i) {
    const unsigned what = i.modrm >> 3 & 7;
    if (what == 6) {
      path.sp = path.sp.Plus(-8);
      // push -8(%r10): the return address again, for the frame that has been aligned.
      if (i.is_at(kR10) && i.displacement == -8) {
        Found(path, path.r10);
      }
    }
    if (what != 4) {
      return true;
    }
    // A jump through a table stays in the function. Else it is a tail call, and the stack is as at
    // a return.
    if (!FollowTable(path, i)) {
      Found(path);
    }
    return false;
  }

  // lea table(%rip),%t; movslq (%t,%index,4),%x; add %t,%x; jmp *%x  or  jmp *table(,%index,8).
  bool FollowTable(const Path& path, const X86Instruction& i) {
    constexpr size_t kEntries = 24;  // one path to the return is enough
    const bool is_absolute =
        !i.is_register() && (i.modrm & 7) == 4 && (i.sib & 7) == 5 && i.modrm >> 6 == 0;
    if (!is_absolute && (!i.is_register() || path.constant == 0)) {
      return false;
    }
    const uint64_t table = is_absolute
                               ? static_cast<uint64_t>(int64_t{i.displacement}) + code_.load_bias()
                               : path.constant;
    const size_t size = is_absolute ? sizeof(uint64_t) : sizeof(int32_t);
    std::array<uint8_t, kEntries * sizeof(uint64_t)> bytes{};
    const size_t got = code_.ReadConstants(table, std::span(bytes).first(kEntries * size));
    bool is_table = false;
    for (size_t at = 0; at + size <= got; at += size) {
      uint64_t target = code_.load_bias();
      if (is_absolute) {
        uint64_t entry;
        std::memcpy(&entry, bytes.data() + at, sizeof(entry));
        target += entry;
      } else {
        int32_t distance;
        std::memcpy(&distance, bytes.data() + at, sizeof(distance));
        target = table + static_cast<uint64_t>(int64_t{distance});
      }
      if (!code_.IsCode(target)) {
        break;
      }
      is_table = true;
      Fork(path, target);
    }
    return is_table;
  }

  void MoveStack(Path& path, const X86Instruction& i) {
    const uint8_t low = static_cast<uint8_t>((i.opcode & 7) | (i.rex & 1) << 3);
    if (i.opcode >= 0x50 && i.opcode <= 0x57) {
      path.sp = path.sp.Plus(-8);
      if (low == kRbp) {
        path.saved = SavedFramePointer{path.sp, path.fp};
      } else if (low == kR10) {
        path.pushed_r10 = path.r10;
        if (path.sets_frame) {
          Found(path, path.r10);
        }
      }
    } else if (i.opcode >= 0x58 && i.opcode <= 0x5f) {
      Pop(path, low);
    } else if (i.opcode == 0x68 || i.opcode == 0x6a || i.opcode == 0x9c) {
      path.sp = path.sp.Plus(-8);
    } else if (i.opcode == 0x9d) {
      path.sp = path.sp.Plus(8);
    } else if (i.opcode == 0xc9) {  // leave
      path.sp = ValueOfFramePointer(path);
      Pop(path, kRbp);
    } else if (i.opcode == 0x81 || i.opcode == 0x83) {
      AddImmediate(path, i);
    } else if (ChangesStackByRegister(i)) {
      path.sp = {};
    } else if (i.opcode == 0x8d) {
      LoadAddress(path, i);
    } else if ((i.opcode == 0x89 || i.opcode == 0x8b) && i.wide()) {
      Move(path, i);
    }
  }

  static Pointer ValueOfFramePointer(const Path& path) {
    return path.fp.kind == FramePointerState::Kind::kValue ? path.fp.pointer : Pointer{};
  }

  static void Pop(Path& path, uint8_t number) {
    if (number == kRbp) {
      LoadFramePointer(path, path.sp);
    } else if (number == kR10) {
      LoadR10(path, path.sp);
    }
    path.sp = number == kRsp ? Pointer{} : path.sp.Plus(8);
  }

  static void LoadR10(Path& path, Pointer slot) {
    path.r10 = path.pushed_r10;
    const bool is_in_frame = slot.base == Pointer::Base::kFp || slot.base == Pointer::Base::kSp;
    if (!path.r10.known() && is_in_frame) {
      path.r10 = {Pointer::Base::kSavedAlign, 0};
      path.saved_align = slot;
    }
  }

  static void LoadFramePointer(Path& path, Pointer slot) {
    if (path.saved && path.saved->slot == slot) {
      path.fp = path.saved->state;
    } else if (slot.known()) {
      path.fp = {FramePointerState::Kind::kInMemory, slot};
    } else {
      path.fp = {FramePointerState::Kind::kUnknown, {}};
    }
  }

  // add, sub, and, xchg with rsp as the target.
  static bool ChangesStackByRegister(const X86Instruction& i) {
    switch (i.opcode) {
      case 0x01:
      case 0x21:
      case 0x29:
        return i.is_register() && i.rm() == kRsp;
      case 0x03:
      case 0x23:
      case 0x2b:
        return i.reg() == kRsp;
      case 0x87:
        return i.reg() == kRsp || (i.is_register() && i.rm() == kRsp);
      default:
        return i.opcode == 0x94 && (i.rex & 1) == 0;
    }
  }

  static void AddImmediate(Path& path, const X86Instruction& i) {
    if (!i.is_register() || i.rm() != kRsp) {
      return;
    }
    switch (i.modrm >> 3 & 7) {
      case 0:
        path.sp = path.sp.Plus(i.immediate);
        break;
      case 5:
        path.sp = path.sp.Plus(-i.immediate);
        break;
      case 7:  // cmp
        break;
      default:  // and: by how much depends
        path.sp = {};
    }
  }

  void LoadAddress(Path& path, const X86Instruction& i) {
    std::optional<Pointer> value;
    if (i.is_at_rsp()) {
      value = path.sp.Plus(i.displacement);
    } else if (i.is_at(kR10)) {
      value = path.r10.Plus(i.displacement);
    } else if (i.is_at_rbp()) {
      value = ValueOfFramePointer(path).Plus(i.displacement);
    } else if (i.is_at_rip()) {
      path.constant = path.pc + static_cast<uint64_t>(int64_t{i.displacement});
    }
    if (i.reg() == kRsp) {
      path.sp = value.value_or(Pointer{});
    } else if (i.reg() == kRbp && value) {
      path.fp = {FramePointerState::Kind::kValue, *value};
    } else if (i.reg() == kR10) {
      path.r10 = value.value_or(Pointer{});
    }
  }

  static void Move(Path& path, const X86Instruction& i) {
    const bool is_load = i.opcode == 0x8b;
    if (i.is_register()) {
      const uint8_t to = is_load ? i.reg() : i.rm();
      const uint8_t from = is_load ? i.rm() : i.reg();
      if (to == kRsp) {
        path.sp = from == kRbp ? ValueOfFramePointer(path) : Pointer{};
      } else if (to == kRbp && from == kRsp) {
        path.fp = {FramePointerState::Kind::kValue, path.sp};
        path.sets_frame = true;
      } else if (to == kR10) {
        path.r10 = {};
      }
      return;
    }
    if (is_load && i.reg() == kR10) {
      LoadR10(path, i.is_at_rbp() ? ValueOfFramePointer(path).Plus(i.displacement) : Pointer{});
    }
    if (i.reg() != kRbp || !i.is_at_rsp()) {
      return;
    }
    const Pointer slot = path.sp.Plus(i.displacement);
    if (is_load) {
      LoadFramePointer(path, slot);
    } else {
      path.saved = SavedFramePointer{slot, path.fp};
    }
  }

  void Fork(const Path& path, uint64_t target) {
    if (waiting_.size() < kMaxPaths && !seen_.contains(target)) {
      waiting_.push_back(path);
      waiting_.back().pc = target;
    }
  }

  // DWARF's number.
  static uint8_t RegisterOf(Pointer::Base base) {
    switch (base) {
      case Pointer::Base::kFp:
        return x86::kRbp;
      case Pointer::Base::kAlign:
        return kR10;  // the same as the machine's
      default:
        return x86::kRsp;
    }
  }

  // The path returns from here, so the return address is on top of the stack.
  void Found(const Path& path) { Found(path, path.sp.Plus(8)); }

  void Found(const Path& path, Pointer cfa) {
    const bool is_saved = cfa.base == Pointer::Base::kSavedAlign;
    const int64_t lowest = is_saved || cfa.base == Pointer::Base::kAlign ? 0 : 8;
    if (!cfa.known() || cfa.offset < lowest || cfa.offset > (is_saved ? 0 : kMaxFrameBytes)) {
      return;
    }
    const Pointer& from = is_saved ? path.saved_align : cfa;
    const UnwindRule rule{.cfa = is_saved ? CfaKind::kInMemory : CfaKind::kRegister,
                          .cfa_register = RegisterOf(from.base),
                          .cfa_offset = static_cast<int32_t>(from.offset),
                          .return_address = {.how = Recovery::kAtCfa, .offset = -8},
                          .frame_pointer = FramePointerRule(path, cfa)};
    const auto known = std::ranges::find(found_, rule, &Candidate::rule);
    if (known != found_.end()) {
      ++known->votes;
    } else if (found_.size() < kMaxPaths) {
      found_.push_back({rule, 1});
    }
  }

  static RegisterRule FramePointerRule(const Path& path, Pointer cfa) {
    RegisterRule rule{.number = x86::kRbp};
    const Pointer& slot = path.fp.pointer;
    if (path.fp.kind == FramePointerState::Kind::kValue) {
      return rule;  // a value that was computed is a local matter; the caller's is the first one
    }
    rule.how = Recovery::kUndefined;
    if (path.fp.kind == FramePointerState::Kind::kUnknown ||
        std::abs(slot.offset) > kMaxFrameBytes) {
      return rule;
    }
    if (slot.base != cfa.base) {
      rule.how = Recovery::kAtRegister;
      rule.source = RegisterOf(slot.base);
      rule.offset = static_cast<int32_t>(slot.offset);
    } else if (slot.offset < cfa.offset) {
      rule.how = Recovery::kAtCfa;
      rule.offset = static_cast<int32_t>(slot.offset - cfa.offset);
    }
    return rule;
  }

  CodeStream& code_;
  std::vector<Path> waiting_;
  std::vector<Candidate> found_;
  absl::flat_hash_set<uint64_t> seen_;
  size_t budget_ = kMaxInstructions;
};

}  // namespace

std::vector<UnwindRule> ScanForReturn(uint64_t pc, bool is_exact, CodeStream& code) {
  return Scan(pc, is_exact, code).Run();
}

bool PassesResultToCall(uint64_t pc, CodeStream& code) {
  const std::span<const uint8_t> bytes = code.At(pc);
  // mov %eax,%edi; call  or  mov %rax,%rdi; call
  const size_t at = bytes.size() > 1 && bytes[0] == 0x48 ? 1 : 0;
  return bytes.size() >= at + 3 && bytes[at] == 0x89 && bytes[at + 1] == 0xc7 &&
         bytes[at + 2] == 0xe8;
}

}  // namespace whyslow
