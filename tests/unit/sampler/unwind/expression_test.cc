#include "sampler/unwind/expression.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/unit/sampler/unwind/fake_memory.h"

namespace whyslow {
namespace {

class ExpressionTest : public ::testing::Test {
 protected:
  ExpressionTest() : memory_(0x7000, {0x1122334455667788, 0x99}) {
    registers_.Set(x86::kRsp, 0x7000);
    registers_.Set(x86::kRip, 0x100b);
  }

  ExpressionResult Evaluate(std::initializer_list<int> bytes,
                            std::optional<uint64_t> initial = std::nullopt) {
    std::vector<std::byte> copy;
    for (const int byte : bytes) {
      copy.push_back(static_cast<std::byte>(byte));
    }
    WordReader words(memory_);
    return EvaluateExpression(
        copy, {.registers = registers_, .words = words, .load_bias = 0x10000, .initial = initial});
  }
  uint64_t Value(std::initializer_list<int> bytes) {
    const ExpressionResult result = Evaluate(bytes);
    EXPECT_TRUE(result.ok());
    return result.value;
  }

  FakeMemory memory_;
  UserRegisters registers_{Architecture::kX86_64};
};

TEST_F(ExpressionTest, ConstantsOfEverySize) {
  EXPECT_EQ(Value({0x35}), 5U);                                    // lit5
  EXPECT_EQ(Value({0x08, 0xff}), 255U);                            // const1u
  EXPECT_EQ(Value({0x09, 0xff}), ~uint64_t{0});                    // const1s
  EXPECT_EQ(Value({0x0a, 1, 2}), 0x201U);                          // const2u
  EXPECT_EQ(Value({0x0d, 0xfe, 0xff, 0xff, 0xff}), ~uint64_t{1});  // const4s
  EXPECT_EQ(Value({0x10, 0x80, 1}), 128U);                         // constu
  EXPECT_EQ(Value({0x11, 0x7f}), ~uint64_t{0});                    // consts
  EXPECT_EQ(Value({0x03, 0, 0x20, 0, 0, 0, 0, 0, 0}), 0x12000U);   // addr, moved to where it runs
}

TEST_F(ExpressionTest, RegistersAndMemory) {
  EXPECT_EQ(Value({0x77, 8}), 0x7008U);                    // breg7+8
  EXPECT_EQ(Value({0x92, 7, 8}), 0x7008U);                 // bregx 7+8
  EXPECT_EQ(Value({0x77, 0, 0x06}), 0x1122334455667788U);  // deref
  EXPECT_EQ(Value({0x77, 0, 0x94, 2}), 0x7788U);           // deref_size 2
}

TEST_F(ExpressionTest, Arithmetic) {
  EXPECT_EQ(Value({0x3a, 0x33, 0x1c}), 7U);                         // 10 - 3
  EXPECT_EQ(Value({0x3a, 0x33, 0x1b}), 3U);                         // 10 / 3
  EXPECT_EQ(Value({0x3a, 0x33, 0x1d}), 1U);                         // 10 % 3
  EXPECT_EQ(Value({0x3a, 0x33, 0x24}), 80U);                        // 10 << 3
  EXPECT_EQ(Value({0x3a, 0x1f, 0x31, 0x26}), Value({0x35, 0x1f}));  // -10 >> 1 (arithmetic)
  EXPECT_EQ(Value({0x33, 0x3a, 0x2d}), 1U);                         // 3 < 10
  EXPECT_EQ(Value({0x33, 0x23, 0x81, 1}), 132U);                    // 3 + 129
}

TEST_F(ExpressionTest, TheStackCanBeRearranged) {
  EXPECT_EQ(Value({0x31, 0x32, 0x16, 0x1c}), 1U);        // swap: 2 - 1
  EXPECT_EQ(Value({0x31, 0x32, 0x14}), 1U);              // over
  EXPECT_EQ(Value({0x31, 0x32, 0x33, 0x15, 2}), 1U);     // pick 2
  EXPECT_EQ(Value({0x31, 0x32, 0x33, 0x17, 0x13}), 1U);  // rot: 3 1 2, drop
  EXPECT_EQ(Value({0x31, 0x12, 0x22}), 2U);              // dup, plus
}

TEST_F(ExpressionTest, ThePltsExpressionCountsThePush) {
  // breg7+8 breg16+0 lit15 and lit11 ge lit3 shl plus: past the eleventh byte one word is pushed.
  const std::initializer_list<int> plt = {0x77, 8,    0x80, 0,    0x3f, 0x1a,
                                          0x3b, 0x2a, 0x33, 0x24, 0x22};
  EXPECT_EQ(Value(plt), 0x7010U);
  registers_.Set(x86::kRip, 0x1006);
  EXPECT_EQ(Value(plt), 0x7008U);
}

TEST_F(ExpressionTest, TheCfaIsPushedFirst) {
  EXPECT_EQ(Evaluate({0x38, 0x1c}, 0x5000).value, 0x4ff8U);
}

TEST_F(ExpressionTest, BranchesAreTaken) {
  EXPECT_EQ(Value({0x31, 0x28, 1, 0, 0x96, 0x35}), 5U);  // bra over a nop
  EXPECT_EQ(Value({0x2f, 1, 0, 0x3f, 0x34}), 4U);        // skip
}

TEST_F(ExpressionTest, WhatIsNotKnownIsSaid) {
  EXPECT_EQ(Evaluate({0x73, 0}).failure, ExpressionFailure::kRegisterUnknown);
  EXPECT_EQ(Evaluate({0x92, 99, 0}).failure, ExpressionFailure::kRegisterUnknown);
  EXPECT_EQ(Evaluate({0x30, 0x06}).failure, ExpressionFailure::kMemory);
}

TEST_F(ExpressionTest, HostileBytesEnd) {
  EXPECT_EQ(Evaluate({}).failure, ExpressionFailure::kMalformed);
  EXPECT_EQ(Evaluate({0x22}).failure, ExpressionFailure::kMalformed);              // nothing to add
  EXPECT_EQ(Evaluate({0x2f, 0xfd, 0xff}).failure, ExpressionFailure::kMalformed);  // a loop
  EXPECT_EQ(Evaluate({0x31, 0x30, 0x1b}).failure, ExpressionFailure::kMalformed);  // 1 / 0
  EXPECT_EQ(Evaluate({0x2f, 0x00, 0x80}).failure, ExpressionFailure::kMalformed);  // far away
  EXPECT_EQ(Evaluate({0x0e, 1}).failure, ExpressionFailure::kMalformed);           // cut off
  EXPECT_EQ(Evaluate({0xff}).failure, ExpressionFailure::kMalformed);
  EXPECT_EQ(Evaluate({0x31, 0x2f, 0xfc, 0xff}).failure, ExpressionFailure::kMalformed);  // grows
  EXPECT_EQ(Value({0x0f, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x09, 0xff, 0x1b}), uint64_t{1} << 63);
}

}  // namespace
}  // namespace whyslow
