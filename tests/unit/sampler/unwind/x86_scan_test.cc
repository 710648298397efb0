#include "sampler/unwind/x86_scan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "sampler/unwind/x86_instruction.h"
#include "tests/unit/sampler/unwind/fake_memory.h"

namespace whyslow {
namespace {

constexpr uint64_t kCode = 0x10000;

class CodeMemory final : public TargetMemory {
 public:
  CodeMemory(std::initializer_list<int> bytes) {
    for (const int byte : bytes) {
      bytes_.push_back(static_cast<std::byte>(byte));
    }
  }
  size_t Read(RuntimeAddress from, std::span<std::byte> into) const override {
    return StackCopy(RuntimeAddress(kCode), bytes_).Read(from, into);
  }

 private:
  std::vector<std::byte> bytes_;
};

std::vector<UnwindRule> Scan(std::initializer_list<int> bytes, bool is_exact = true) {
  const CodeMemory memory(bytes);
  CodeStream stream(nullptr, memory);
  return ScanForReturn(kCode, is_exact, stream);
}

// The one candidate.
UnwindRule ScanOne(std::initializer_list<int> bytes) {
  const std::vector<UnwindRule> rules = Scan(bytes);
  EXPECT_EQ(rules.size(), 1U);
  return rules.empty() ? UnwindRule{} : rules[0];
}

size_t LengthOf(std::initializer_list<int> bytes) {
  std::vector<uint8_t> code(bytes.begin(), bytes.end());
  code.resize(20, 0x90);
  const std::optional<X86Instruction> instruction = DecodeX86(code);
  return instruction ? instruction->length : 0;
}

TEST(X86Instruction, LengthsOfAllFormats) {
  EXPECT_EQ(LengthOf({0x90}), 1U);
  EXPECT_EQ(LengthOf({0x48, 0x89, 0xe5}), 3U);                              // mov %rsp,%rbp
  EXPECT_EQ(LengthOf({0x48, 0x8b, 0x44, 0x24, 0x08}), 5U);                  // SIB, 8 bits
  EXPECT_EQ(LengthOf({0x48, 0x8d, 0x05, 1, 2, 3, 4}), 7U);                  // from rip
  EXPECT_EQ(LengthOf({0x4b, 0x8d, 0x2c, 0xa5, 1, 2, 3, 4}), 8U);            // SIB, no base
  EXPECT_EQ(LengthOf({0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8}), 10U);           // movabs
  EXPECT_EQ(LengthOf({0x66, 0xb8, 1, 2}), 4U);                              // 16 bits
  EXPECT_EQ(LengthOf({0xf7, 0xc7, 1, 2, 3, 4}), 6U);                        // test
  EXPECT_EQ(LengthOf({0xf7, 0xd8}), 2U);                                    // neg
  EXPECT_EQ(LengthOf({0xf6, 0x07, 1}), 3U);                                 // testb
  EXPECT_EQ(LengthOf({0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0}), 10U);  // nopw
  EXPECT_EQ(LengthOf({0x0f, 0x84, 1, 2, 3, 4}), 6U);                        // je
  EXPECT_EQ(LengthOf({0xc5, 0xf8, 0x77}), 3U);                              // vzeroupper
  EXPECT_EQ(LengthOf({0xc5, 0xfe, 0x6f, 0x06}), 4U);                        // vmovdqu
  EXPECT_EQ(LengthOf({0xc4, 0xe3, 0x7d, 0x39, 0xc1, 1}), 6U);               // vextracti128
  EXPECT_EQ(LengthOf({0x62, 0xf1, 0xfe, 0x28, 0x6f, 0x46, 1}), 7U);         // EVEX vmovdqu64
  EXPECT_EQ(LengthOf({0x66, 0x0f, 0x3a, 0x63, 0xc1, 1}), 6U);               // pcmpistri
  EXPECT_EQ(LengthOf({0xc8, 1, 2, 3}), 4U);                                 // enter
  EXPECT_EQ(LengthOf({0x06}), 0U);                                          // none such
}

TEST(X86Instruction, CutOffBytesAreNoInstruction) {
  const std::vector<uint8_t> code = {0x48, 0x8d, 0x05, 1, 2};
  EXPECT_FALSE(DecodeX86(code).has_value());
  EXPECT_FALSE(DecodeX86({}).has_value());
  const std::vector<uint8_t> prefixes(20, 0x66);
  EXPECT_FALSE(DecodeX86(prefixes).has_value());
}

TEST(X86Scan, ALeafHasItsReturnAddressOnTop) {
  const UnwindRule rule = ScanOne({0x8d, 0x44, 0x7f, 1, 0xc3});
  EXPECT_EQ(rule.cfa_register, x86::kRsp);
  EXPECT_EQ(rule.cfa_offset, 8);
  EXPECT_EQ(rule.frame_pointer.how, Recovery::kSame);
}

TEST(X86Scan, PopsAndAdditionsAreCounted) {
  // add $24,%rsp; pop %rbx; pop %rbp; pop %r12; ret
  const UnwindRule rule = ScanOne({0x48, 0x83, 0xc4, 24, 0x5b, 0x5d, 0x41, 0x5c, 0xc3});
  EXPECT_EQ(rule.cfa_offset, 24 + 24 + 8);
  EXPECT_EQ(rule.frame_pointer.how, Recovery::kAtCfa);
  EXPECT_EQ(rule.frame_pointer.offset, 32 - 56);
}

TEST(X86Scan, APrologueInFrontIsUndone) {
  // push %rbp; mov %rsp,%rbp; push %rbx; sub $8,%rsp; lea -8(%rbp),%rsp; pop %rbx; pop %rbp; ret
  const UnwindRule rule = ScanOne({0x55, 0x48, 0x89, 0xe5, 0x53, 0x48, 0x83, 0xec, 8, 0x48, 0x8d,
                                   0x65, 0xf8, 0x5b, 0x5d, 0xc3});
  EXPECT_EQ(rule.cfa_register, x86::kRsp);
  EXPECT_EQ(rule.cfa_offset, 8);
  EXPECT_EQ(rule.frame_pointer.how, Recovery::kSame);
}

TEST(X86Scan, LeaveLeadsThroughTheFramePointer) {
  const UnwindRule rule = ScanOne({0x48, 0x29, 0xc4, 0xc9, 0xc3});  // sub %rax,%rsp; leave; ret
  EXPECT_EQ(rule.cfa_register, x86::kRbp);
  EXPECT_EQ(rule.cfa_offset, 16);
  EXPECT_EQ(rule.frame_pointer.offset, -16);
}

TEST(X86Scan, BranchesAndJumpsAreFollowed) {
  // je 1f; jmp 2f; 1: ud2; 2: pop %rbx; ret
  EXPECT_EQ(ScanOne({0x74, 2, 0xeb, 2, 0x0f, 0x0b, 0x5b, 0xc3}).cfa_offset, 16);
  // A loop that only a branch leaves.
  EXPECT_EQ(ScanOne({0x74, 2, 0xeb, 0xfc, 0x5b, 0xc3}).cfa_offset, 16);
}

TEST(X86Scan, ATailCallIsLikeAReturn) {
  EXPECT_EQ(ScanOne({0x48, 0x83, 0xc4, 8, 0xff, 0xe0}).cfa_offset, 16);  // add $8,%rsp; jmp *%rax
}

TEST(X86Scan, AnAlignedFrameIsFoundThroughR10) {
  // lea 8(%rsp),%r10; and $-64,%rsp; push -8(%r10)
  EXPECT_EQ(ScanOne({0x4c, 0x8d, 0x54, 0x24, 8, 0x48, 0x83, 0xe4, 0xc0, 0x41, 0xff, 0x72, 0xf8}),
            (UnwindRule{.cfa = CfaKind::kRegister,
                        .cfa_register = x86::kRsp,
                        .cfa_offset = 8,
                        .return_address = {.how = Recovery::kAtCfa, .offset = -8},
                        .frame_pointer = {.number = x86::kRbp}}));
  // The same from the `and` on, and from the push of %rbp that follows it to the push of %r10.
  const UnwindRule from_and = ScanOne({0x48, 0x83, 0xe4, 0xc0, 0x41, 0xff, 0x72, 0xf8});
  const UnwindRule from_push = ScanOne({0x55, 0x48, 0x89, 0xe5, 0x41, 0x54, 0x41, 0x52});
  for (const UnwindRule& rule : {from_and, from_push}) {
    EXPECT_EQ(rule.cfa_register, 10);
    EXPECT_EQ(rule.cfa_offset, 0);
    EXPECT_EQ(rule.frame_pointer.how, Recovery::kSame);
  }
  // pop %rbp; lea -8(%r10),%rsp; ret
  const UnwindRule at_end = ScanOne({0x5d, 0x49, 0x8d, 0x62, 0xf8, 0xc3});
  EXPECT_EQ(at_end.cfa_register, 10);
  EXPECT_EQ(at_end.cfa_offset, 0);
  // lea -24(%rbp),%rsp; pop %rbx; pop %r10; pop %r12; pop %rbp; lea -8(%r10),%rsp; ret
  const UnwindRule in_frame = ScanOne(
      {0x48, 0x8d, 0x65, 0xe8, 0x5b, 0x41, 0x5a, 0x41, 0x5c, 0x5d, 0x49, 0x8d, 0x62, 0xf8, 0xc3});
  EXPECT_EQ(in_frame.cfa, CfaKind::kInMemory);
  EXPECT_EQ(in_frame.cfa_register, x86::kRbp);
  EXPECT_EQ(in_frame.cfa_offset, -16);
  EXPECT_EQ(in_frame.frame_pointer.how, Recovery::kAtRegister);
  EXPECT_EQ(in_frame.frame_pointer.source, x86::kRbp);
  EXPECT_EQ(in_frame.frame_pointer.offset, 0);
  // After a call r10 is anything.
  EXPECT_TRUE(Scan({0x48, 0x83, 0xe4, 0xc0, 0x41, 0xff, 0x72, 0xf8}, /*is_exact=*/false).empty());
  // push %r10 of a frame that was set up before: not the CFA, as far as is known.
  EXPECT_TRUE(Scan({0x41, 0x52}).empty());
}

TEST(X86Scan, WhereNothingReturnsNothingIsFound) {
  EXPECT_TRUE(Scan({0xf4}).empty());
  EXPECT_TRUE(Scan({0xeb, 0xfe}).empty());                 // jmp .
  EXPECT_TRUE(Scan({0x48, 0x89, 0xc4, 0xc3}).empty());     // mov %rax,%rsp; ret
  EXPECT_TRUE(Scan({0x48, 0x83, 0xec, 8, 0xc3}).empty());  // would return below
  EXPECT_TRUE(Scan({0x90}).empty());                       // the code ends
}

TEST(X86Scan, ResultsThatArePassedOnAreSeen) {
  const CodeMemory memory({0x89, 0xc7, 0xe8, 0, 0, 0, 0});
  CodeStream stream(nullptr, memory);
  EXPECT_TRUE(PassesResultToCall(kCode, stream));
  EXPECT_FALSE(PassesResultToCall(kCode + 1, stream));
}

}  // namespace
}  // namespace whyslow
