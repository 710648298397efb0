#include "sampler/unwind/jit_unwind_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sampler/unwind/stack_unwinder.h"
#include "tests/unit/sampler/unwind/cfi_builder.h"
#include "tests/unit/sampler/unwind/fake_memory.h"

namespace whyslow {
namespace {

using ::testing::ElementsAre;

constexpr uint64_t kCode = 0x7f0000001000;
constexpr uint64_t kSize = 0x31;  // no multiple of 8: the CFI begins at 0x38
constexpr uint64_t kStack = 0x7ffff000;

// CFI for `size` bytes of code at `start`, whose frame is `frame` bytes from its entry on.
std::string EhFrame(uint64_t start, uint64_t size, int frame) {
  EhFrameBuilder builder(start + (size + 7) / 8 * 8);
  builder.AddFunction(AddUsualCommon(builder), start, static_cast<uint32_t>(size), {0x0e, frame});
  builder.AddTerminator();
  return {builder.bytes().begin(), builder.bytes().end()};
}

// The distance to the CFA; 0: no rule.
int FrameAt(const JitUnwindTable& table, uint64_t address) {
  const auto place = table.Find(RuntimeAddress(address));
  return place ? place->table->Find(place->address).cfa_offset : 0;
}

JitUnwindTable TableWith(int frame) {
  JitUnwindTable table(Architecture::kX86_64);
  table.Load(RuntimeAddress(kCode), kSize, 1, EhFrame(kCode, kSize, frame));
  return table;
}

TEST(JitUnwindTable, CodeHasTheRulesThatCameWithIt) {
  const JitUnwindTable table = TableWith(32);

  EXPECT_EQ(FrameAt(table, kCode), 32);
  EXPECT_EQ(FrameAt(table, kCode + kSize - 1), 32);
  EXPECT_EQ(FrameAt(table, kCode - 1), 0);
  EXPECT_EQ(FrameAt(table, kCode + kSize), 0);
}

TEST(JitUnwindTable, CodeThatMovesTakesItsRulesAlong) {
  JitUnwindTable table = TableWith(32);

  table.Move(1, RuntimeAddress(kCode + 0x5000));
  table.Move(7, RuntimeAddress(kCode + 0x6000));  // nobody knows what that is

  EXPECT_EQ(FrameAt(table, kCode + 0x5010), 32);
  EXPECT_EQ(table.Find(RuntimeAddress(kCode + 0x5010))->load_bias, 0x5000u);
  EXPECT_EQ(FrameAt(table, kCode + 0x6010), 0);
}

TEST(JitUnwindTable, LaterCodeTakesThePlaceOfEarlier) {
  JitUnwindTable table = TableWith(32);

  table.Load(RuntimeAddress(kCode + 0x10), 0x10, 2, EhFrame(kCode + 0x10, 0x10, 64));
  EXPECT_EQ(FrameAt(table, kCode + 0x0f), 32);
  EXPECT_EQ(FrameAt(table, kCode + 0x10), 64);
  EXPECT_EQ(FrameAt(table, kCode + 0x20), 32);

  table.Load(RuntimeAddress(kCode + 8), 0x20, 3, "");  // without any word on unwinding
  EXPECT_EQ(FrameAt(table, kCode + 7), 32);
  EXPECT_EQ(FrameAt(table, kCode + 0x10), 0);
  EXPECT_EQ(FrameAt(table, kCode + 0x28), 32);
}

TEST(JitUnwindTable, OnlyChangesChangeTheVersion) {
  JitUnwindTable table = TableWith(32);
  const uint32_t before = table.version();

  table.Load(RuntimeAddress(kCode + 0x1000), kSize, 2, "");
  EXPECT_EQ(table.version(), before);
  table.Load(RuntimeAddress(kCode), kSize, 3, "");
  EXPECT_GT(table.version(), before);
}

TEST(JitUnwindTable, CopiesGoTheirOwnWay) {
  JitUnwindTable parent = TableWith(32);
  const JitUnwindTable child = parent;
  EXPECT_EQ(child.version(), parent.version());

  parent.Load(RuntimeAddress(kCode), kSize, 2, EhFrame(kCode, kSize, 64));

  EXPECT_EQ(FrameAt(parent, kCode), 64);
  EXPECT_EQ(FrameAt(child, kCode), 32);
}

TEST(JitUnwindTable, RangesThatMakeNoSenseAreNone) {
  JitUnwindTable table(Architecture::kX86_64);
  table.Load(RuntimeAddress(kCode), 0, 1, EhFrame(kCode, kSize, 32));
  table.Load(RuntimeAddress(~uint64_t{0} - 4), kSize, 2, EhFrame(kCode, kSize, 32));
  table.Load(RuntimeAddress(kCode), kSize, 3, EhFrame(kCode, kSize, 32));
  table.Move(3, RuntimeAddress(~uint64_t{0} - 4));

  EXPECT_EQ(table.size(), 1u);
}

TEST(JitUnwindTable, CfiThatIsDamagedOrSpeaksOfOtherCodeGivesNoRule) {
  const std::string whole = EhFrame(kCode, kSize, 32);
  for (size_t size = 0; size < whole.size(); ++size) {
    JitUnwindTable table(Architecture::kX86_64);
    table.Load(RuntimeAddress(kCode), kSize, 1, whole.substr(0, size));
    const int frame = FrameAt(table, kCode);
    EXPECT_TRUE(frame == 0 || frame == 32) << size;
  }
  JitUnwindTable table(Architecture::kX86_64);
  EhFrameBuilder other(kCode + 0x38);
  other.AddFunction(AddUsualCommon(other), kCode + 0x2000, kSize, {0x0e, 32});
  table.Load(RuntimeAddress(kCode), kSize, 1, {other.bytes().begin(), other.bytes().end()});
  EXPECT_EQ(FrameAt(table, kCode), 0);
}

TEST(JitUnwindTable, ARuntimeThatReplacesItsCodeForEverIsBounded) {
  JitUnwindTable table(Architecture::kX86_64);
  const std::string large(JitUnwindTable::kMaxCfiOfFunction - 8, '\0');

  for (uint64_t index = 0; index < 5'000; ++index) {  // 320 MB in all
    table.Load(RuntimeAddress(kCode), kSize, index, large);
  }
  table.Load(RuntimeAddress(kCode), kSize, 5'000, EhFrame(kCode, kSize, 32));
  EXPECT_EQ(FrameAt(table, kCode), 32);

  table.Load(RuntimeAddress(kCode), kSize, 5'001, large + "too much, clearly");
  EXPECT_EQ(FrameAt(table, kCode), 0);
}

// Two frames of made code above each other, neither with a frame pointer.
class JitStack : public ::testing::Test {
 protected:
  JitStack() {
    registers_.Set(x86::kRip, kCode + 0x10);
    registers_.Set(x86::kRsp, kStack);
    registers_.Set(x86::kRbp, 0x1234);
    space_.Add({.start = RuntimeAddress(kCode), .end = RuntimeAddress(kCode + 0x1000)});
    Fill(table_);
  }

  static void Fill(JitUnwindTable& table) {
    table.Load(RuntimeAddress(kCode), kSize, 1, EhFrame(kCode, kSize, 24));
    table.Load(RuntimeAddress(kCode + 0x100), kSize, 2, EhFrame(kCode + 0x100, kSize, 32));
    EhFrameBuilder root(kCode + 0x238);
    root.AddFunction(AddUsualCommon(root), kCode + 0x200, kSize, {0x07, 16});
    table.Load(RuntimeAddress(kCode + 0x200), kSize, 3, {root.bytes().begin(), root.bytes().end()});
  }

  NativeStack Walk(const JitUnwindTable* table) {
    NativeStack stack;
    unwinder_.Unwind(registers_, space_, memory_, stack, {.jit = table, .chain = {}});
    return stack;
  }

  const RuntimeCodeAddress leaf_ = RuntimeCodeAddress::At(RuntimeAddress(kCode + 0x10));
  const RuntimeCodeAddress caller_ = RuntimeCodeAddress::ReturnTo(RuntimeAddress(kCode + 0x110));
  const RuntimeCodeAddress root_ = RuntimeCodeAddress::ReturnTo(RuntimeAddress(kCode + 0x210));
  const FakeMemory memory_{kStack, {1, 2, kCode + 0x110, 4, 5, 6, kCode + 0x210}};
  UserRegisters registers_{Architecture::kX86_64};
  AddressSpace space_;
  JitUnwindTable table_{Architecture::kX86_64};
  StackUnwinder unwinder_;
};

TEST_F(JitStack, WalksGoThroughMadeCode) {
  const NativeStack stack = Walk(&table_);

  EXPECT_THAT(stack.frames, ElementsAre(leaf_, caller_, root_));
  EXPECT_EQ(stack.end, StackEnd::kRoot);
}

TEST_F(JitStack, WhatTheRuntimeTellsHoldsWhereNoMappingWasTold) {
  space_.Clear();
  EXPECT_THAT(Walk(&table_).frames, ElementsAre(leaf_, caller_, root_));
}

TEST_F(JitStack, WhatWasFoundBeforeAChangeIsFoundAnew) {
  EXPECT_EQ(Walk(nullptr).end, StackEnd::kNoUnwindInfo);
  JitUnwindTable table(Architecture::kX86_64);
  EXPECT_EQ(Walk(&table).end, StackEnd::kNoUnwindInfo);
  Fill(table);
  EXPECT_EQ(Walk(&table).end, StackEnd::kRoot);

  table.Load(RuntimeAddress(kCode + 0x100), kSize, 4, "");
  const NativeStack stack = Walk(&table);

  EXPECT_THAT(stack.frames, ElementsAre(leaf_, caller_));
  EXPECT_EQ(stack.end, StackEnd::kNoUnwindInfo);
  table.Clear();
  EXPECT_THAT(Walk(&table).frames, ElementsAre(leaf_));
}

TEST_F(JitStack, FilesAreNotSpokenForByADump) {
  TestElf elf;  // no CFI, no frame pointer
  space_.Add({.start = RuntimeAddress(kCode),
              .end = RuntimeAddress(kCode + 0x1000),
              .kind = MappingKind::kFile,
              .module = elf.Module(),
              .elf_bias = 0x1000 - kCode});

  EXPECT_NE(Walk(&table_).end, StackEnd::kRoot);
}

}  // namespace
}  // namespace whyslow
