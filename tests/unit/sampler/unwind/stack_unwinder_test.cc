// Stacks as array literals: what lies where, and which frames have to come of it. The module is
// mapped so that ELF address 0x1000 runs at 0x401000.
#include "sampler/unwind/stack_unwinder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/sampler/unwind/cfi_builder.h"
#include "tests/unit/sampler/unwind/fake_memory.h"

namespace whyslow {
namespace {

using ::testing::ElementsAre;

constexpr uint64_t kBias = 0x400000;  // runtime address - ELF address
constexpr uint64_t kStack = 0x7ff000;
constexpr uint64_t kSection = 0x8000;

RuntimeCodeAddress Exact(uint64_t elf_address) {
  return RuntimeCodeAddress::At(RuntimeAddress(elf_address + kBias));
}
RuntimeCodeAddress Return(uint64_t elf_address) {
  return RuntimeCodeAddress::ReturnTo(RuntimeAddress(elf_address + kBias));
}
uint64_t Runs(uint64_t elf_address) { return elf_address + kBias; }

class StackUnwinderTest : public ::testing::Test {
 protected:
  StackUnwinderTest() : builder_(kSection) {
    registers_.Set(x86::kRsp, kStack);
    registers_.Set(x86::kRbp, 0);
  }

  void PutCode(uint64_t elf_address, std::initializer_list<int> bytes) {
    std::copy(bytes.begin(), bytes.end(),
              elf_.code.begin() + static_cast<ptrdiff_t>(elf_address - 0x1000));
  }
  // Frames of code without CFI are believed where a call stands before their return addresses.
  void PutCallBefore(uint64_t elf_address) { PutCode(elf_address - 5, {0xe8, 0, 0, 0, 0}); }
  // Rules by the common record and these instructions.
  void AddFunction(uint64_t start, uint32_t size, std::initializer_list<int> instructions) {
    if (common_ == 0) {
      builder_.AddCommon("", {});  // so that no record that counts is at 0
      common_ = AddUsualCommon(builder_);
    }
    builder_.AddFunction(common_, start, size, instructions);
  }
  // A function that is the root: its return address is undefined.
  void AddRoot(uint64_t start) { AddFunction(start, 0x10, {0x07, 16}); }

  NativeStack Unwind(uint64_t elf_pc, const TargetMemory& memory,
                     UnwindMode mode = UnwindMode::kAuto, const FramePointerChain& chain = {}) {
    elf_.sections = {{".eh_frame", {kSection, builder_.bytes()}}};
    if (is_go_) {
      elf_.sections.push_back({".gopclntab", {0x9000, CfiBytes(8)}});
    }
    space_.Add({.start = RuntimeAddress(Runs(0x1000)),
                .end = RuntimeAddress(Runs(0x2000)),
                .file_offset = 0x1000,
                .kind = MappingKind::kFile,
                .module = elf_.Module(),
                .elf_bias = 0 - kBias});
    registers_.Set(registers_.pc_number(), Runs(elf_pc));
    StackUnwinder unwinder(mode);
    unwinder.SetPointerAuthenticationMask(signature_mask_);
    NativeStack stack;
    unwinder.Unwind(registers_, space_, memory, stack, {.jit = nullptr, .chain = chain});
    NativeStack again;
    unwinder.Unwind(registers_, space_, memory, again, {.jit = nullptr, .chain = chain});
    EXPECT_EQ(again.frames, stack.frames);  // warm as cold
    EXPECT_EQ(again.end, stack.end);
    return stack;
  }

  TestElf elf_;
  EhFrameBuilder builder_;
  size_t common_ = 0;
  AddressSpace space_;
  UserRegisters registers_{Architecture::kX86_64};
  uint64_t signature_mask_ = 0;
  bool is_go_ = false;
};

TEST_F(StackUnwinderTest, FollowsTheStackPointerToTheRoot) {
  AddFunction(0x1100, 0x40, {0x0e, 24});  // sub $16,%rsp
  AddFunction(0x1200, 0x40, {0x0e, 16});
  AddRoot(0x1300);
  const FakeMemory memory(kStack, {1, 2, Runs(0x1210), 3, Runs(0x1308)});

  const NativeStack stack = Unwind(0x1110, memory);

  EXPECT_THAT(stack.frames, ElementsAre(Exact(0x1110), Return(0x1210), Return(0x1308)));
  EXPECT_EQ(stack.end, StackEnd::kRoot);
}

TEST_F(StackUnwinderTest, FollowsTheFramePointerWhereCfiSaysSo) {
  AddFunction(0x1100, 0x40, {0x0e, 16, 0x86, 2, 0x0d, 6});  // CFA = rbp + 16, rbp at CFA - 16
  AddFunction(0x1200, 0x40, {0x0e, 16, 0x86, 2, 0x0d, 6});
  AddRoot(0x1300);
  registers_.Set(x86::kRbp, kStack + 0x10);
  const FakeMemory memory(kStack, {0, 0, kStack + 0x30, Runs(0x1210), 0, 0, 0x77, Runs(0x1308)});

  const NativeStack stack = Unwind(0x1110, memory);

  EXPECT_THAT(stack.frames, ElementsAre(Exact(0x1110), Return(0x1210), Return(0x1308)));
  EXPECT_EQ(stack.end, StackEnd::kRoot);
}

TEST_F(StackUnwinderTest, AReturnAddressIsLookedUpInTheCall) {
  // The call is the last instruction of its function; what follows has another rule.
  AddFunction(0x1100, 0x10, {});
  AddFunction(0x1200, 0x10, {0x0e, 16});
  AddFunction(0x1210, 0x10, {0x0e, 64});
  AddRoot(0x1300);
  const FakeMemory memory(kStack, {Runs(0x1210), 0, Runs(0x1308)});

  EXPECT_THAT(Unwind(0x1100, memory).frames,
              ElementsAre(Exact(0x1100), Return(0x1210), Return(0x1308)));
}

TEST_F(StackUnwinderTest, ARegisterThatIsNeededOnlyFurtherUpIsFollowedToo) {
  // 0x1200 has its CFA in rbx, which 0x1100 saved.
  AddFunction(0x1100, 0x40, {0x0e, 16, 0x83, 2});
  AddFunction(0x1200, 0x40, {0x0c, 3, 0});
  AddRoot(0x1300);
  registers_.Set(x86::kRbx, 0xbad);
  FakeMemory memory(kStack, {kStack + 0x100, Runs(0x1210)});
  memory.Put(kStack + 0xf8, {Runs(0x1308)});

  const NativeStack stack = Unwind(0x1110, memory);

  EXPECT_THAT(stack.frames, ElementsAre(Exact(0x1110), Return(0x1210), Return(0x1308)));
  EXPECT_EQ(stack.end, StackEnd::kRoot);
}

TEST_F(StackUnwinderTest, ARegisterThatACallLosesEndsTheWalk) {
  AddFunction(0x1100, 0x40, {});
  AddFunction(0x1200, 0x40, {0x0c, 10, 0});  // CFA in r10, across a call
  registers_.Set(x86::kR10, kStack + 0x100);
  const FakeMemory memory(kStack, {Runs(0x1210)});

  const NativeStack stack = Unwind(0x1110, memory);

  EXPECT_THAT(stack.frames, ElementsAre(Exact(0x1110), Return(0x1210)));
  EXPECT_EQ(stack.end, StackEnd::kRegisterUnknown);
}

TEST_F(StackUnwinderTest, TheCfaCanBeReadFromMemory) {
  // A realigned frame: CFA = *(rbp - 8), rbp at rbp.
  AddFunction(0x1100, 0x40, {0x0f, 3, 0x76, 0x78, 0x06, 0x10, 6, 2, 0x76, 0});
  AddRoot(0x1300);
  registers_.Set(x86::kRbp, kStack + 8);
  FakeMemory memory(kStack, {kStack + 0x80, 0x55});
  memory.Put(kStack + 0x78, {Runs(0x1308)});

  EXPECT_THAT(Unwind(0x1110, memory).frames, ElementsAre(Exact(0x1110), Return(0x1308)));
}

TEST_F(StackUnwinderTest, AnEpilogueThatHasRestoredTheFramePointerKeepsIt) {
  // CFI still says that rbp is at CFA - 16; it has been popped, and the copy begins above.
  AddFunction(0x1100, 0x40, {0x86, 2});
  AddFunction(0x1200, 0x40, {0x0c, 6, 16});
  AddRoot(0x1300);
  registers_.Set(x86::kRbp, kStack + 0x20);
  FakeMemory memory(kStack, {Runs(0x1210)});
  memory.Put(kStack + 0x28, {Runs(0x1308)});

  EXPECT_THAT(Unwind(0x1110, memory).frames,
              ElementsAre(Exact(0x1110), Return(0x1210), Return(0x1308)));
}

TEST_F(StackUnwinderTest, ASignalTrampolineLeadsToTheInstructionThatWasInterrupted) {
  // The interrupted function begins at the very address: its rule, not its neighbour's, counts.
  AddFunction(0x1100, 0x10, {});
  AddFunction(0x1200, 0x10, {0x0e, 16});
  AddRoot(0x1300);
  PutCode(0x1400, {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05});  // mov $15,%rax; syscall
  FakeMemory memory(kStack, {Runs(0x1400)});
  const uint64_t context = kStack + 8;
  memory.Put(context + 120, {0x66});                    // rbp
  memory.Put(context + 160, {0x700000, Runs(0x1200)});  // rsp, rip: another stack, below
  memory.Put(0x700000, {0, Runs(0x1308)});

  const NativeStack stack = Unwind(0x1100, memory);

  EXPECT_THAT(stack.frames,
              ElementsAre(Exact(0x1100), Exact(0x1400), Exact(0x1200), Return(0x1308)));
  EXPECT_EQ(stack.end, StackEnd::kRoot);
}

TEST_F(StackUnwinderTest, AScratchRegisterOfAnInterruptedLeafComesFromItsSignalFrame) {
  AddFunction(0x1100, 0x10, {});
  AddFunction(0x1200, 0x10, {0x0c, 10, 0});  // CFA in r10
  AddRoot(0x1300);
  PutCode(0x1400, {0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05});  // mov $15,%eax; syscall
  FakeMemory memory(kStack, {Runs(0x1400)});
  const uint64_t context = kStack + 8;
  memory.Put(context + 40 + 2 * 8, {0x700010});  // r10
  memory.Put(context + 120, {0x66});
  memory.Put(context + 160, {0x700000, Runs(0x1204)});
  memory.Put(0x700008, {Runs(0x1308)});

  EXPECT_THAT(Unwind(0x1100, memory).frames,
              ElementsAre(Exact(0x1100), Exact(0x1400), Exact(0x1204), Return(0x1308)));
}

TEST_F(StackUnwinderTest, AReturnAddressOfZeroIsTheRoot) {
  AddFunction(0x1100, 0x10, {});
  EXPECT_EQ(Unwind(0x1100, FakeMemory(kStack, {0})).end, StackEnd::kRoot);
}

TEST_F(StackUnwinderTest, EntryCodeWithoutCfiIsTheRoot) {
  AddFunction(0x1100, 0x10, {});
  elf_.entry = 0x1500;

  const NativeStack stack = Unwind(0x1100, FakeMemory(kStack, {Runs(0x1516)}));

  EXPECT_THAT(stack.frames, ElementsAre(Exact(0x1100), Return(0x1516)));
  EXPECT_EQ(stack.end, StackEnd::kRoot);
}

TEST_F(StackUnwinderTest, ReturnAddressesOutsideOfCodeAreNotFrames) {
  AddFunction(0x1100, 0x10, {});
  EXPECT_EQ(Unwind(0x1100, FakeMemory(kStack, {0x12345678})).end, StackEnd::kUnknownMapping);
  EXPECT_EQ(Unwind(0x1100, FakeMemory(kStack, {0x12})).end, StackEnd::kBadMemory);
  const NativeStack stack = Unwind(0x1100, FakeMemory(kStack, {0xffffffffff600000}));
  EXPECT_EQ(stack.end, StackEnd::kBadMemory);
  EXPECT_EQ(stack.frames.size(), 1U);
}

TEST_F(StackUnwinderTest, TheEndOfTheCopyIsToldFromBadMemory) {
  AddFunction(0x1100, 0x10, {0x0e, 64});
  const std::vector<std::byte> bytes(32);
  EXPECT_EQ(Unwind(0x1100, StackCopy(RuntimeAddress(kStack), bytes)).end, StackEnd::kCopyEnded);
  EXPECT_EQ(Unwind(0x1100, FakeMemory()).end, StackEnd::kBadMemory);
}

TEST_F(StackUnwinderTest, AWildPointerIsNotTheEndOfTheCopy) {
  AddFunction(0x1100, 0x10, {0x0c, 6, 16});
  registers_.Set(x86::kRbp, 0x10);
  const std::vector<std::byte> bytes(32);
  EXPECT_EQ(Unwind(0x1100, StackCopy(RuntimeAddress(kStack), bytes)).end, StackEnd::kBadMemory);
}

TEST_F(StackUnwinderTest, AStackThatLeadsDownwardsOrStandsIsBad) {
  AddFunction(0x1100, 0x10, {0x0c, 6, 16});
  registers_.Set(x86::kRbp, kStack - 0x10);
  EXPECT_EQ(Unwind(0x1100, FakeMemory(kStack - 8, {Runs(0x1100)})).end, StackEnd::kBadMemory);
  registers_.Set(x86::kRbp, kStack - 0x20);
  EXPECT_EQ(Unwind(0x1100, FakeMemory(kStack - 0x18, {Runs(0x1100)})).end, StackEnd::kBadMemory);
}

TEST_F(StackUnwinderTest, AnEndlessStackIsCutAtItsLimit) {
  AddFunction(0x1100, 0x10, {});
  class Endless final : public TargetMemory {
   public:
    size_t Read(RuntimeAddress, std::span<std::byte> into) const override {
      const uint64_t word = Runs(0x1108);
      std::memcpy(into.data(), &word, into.size());
      return into.size();
    }
  };

  const NativeStack stack = Unwind(0x1100, Endless());

  EXPECT_EQ(stack.end, StackEnd::kTooDeep);
  EXPECT_EQ(stack.frames.size(), StackUnwinder::kMaxFrames);
}

TEST_F(StackUnwinderTest, WithoutRegistersThereIsNoStack) {
  UserRegisters nothing(Architecture::kX86_64);
  NativeStack stack;
  StackUnwinder().Unwind(nothing, space_, FakeMemory(), stack);
  EXPECT_EQ(stack.end, StackEnd::kNoRegisters);
  EXPECT_TRUE(stack.frames.empty());
}

TEST_F(StackUnwinderTest, PltStubsWithoutCfiHaveTheReturnAddressOnTop) {
  AddRoot(0x1300);
  PutCode(0x1600, {0xff, 0x25, 0, 0, 0, 0, 0x68, 1, 0, 0, 0, 0xe9, 0, 0, 0, 0});
  const FakeMemory memory(kStack, {Runs(0x1308)});
  EXPECT_THAT(Unwind(0x1600, memory).frames, ElementsAre(Exact(0x1600), Return(0x1308)));
  EXPECT_THAT(Unwind(0x1606, memory).frames, ElementsAre(Exact(0x1606), Return(0x1308)));
  const FakeMemory pushed(kStack, {1, Runs(0x1308)});
  EXPECT_THAT(Unwind(0x160b, pushed).frames, ElementsAre(Exact(0x160b), Return(0x1308)));
}

TEST_F(StackUnwinderTest, WithoutCfiTheReturnIsFoundByReadingOn) {
  AddRoot(0x1300);
  PutCallBefore(0x1308);
  // pop %rbx; jne over; add $16,%rsp; pop %rbp; ret
  PutCode(0x1600, {0x5b, 0x75, 0x02, 0x90, 0x90, 0x48, 0x83, 0xc4, 0x10, 0x5d, 0xc3});
  const FakeMemory memory(kStack, {1, 2, 3, 4, Runs(0x1308)});

  const NativeStack stack = Unwind(0x1600, memory);

  EXPECT_THAT(stack.frames, ElementsAre(Exact(0x1600), Return(0x1308)));
  EXPECT_EQ(stack.end, StackEnd::kRoot);
  EXPECT_EQ(Unwind(0x1600, memory, UnwindMode::kDwarf).end, StackEnd::kNoUnwindInfo);
}

TEST_F(StackUnwinderTest, AGuessThatDoesNotFollowACallIsNotBelieved) {
  AddRoot(0x1300);
  PutCode(0x1600, {0x5b, 0xc3});
  const FakeMemory memory(kStack, {1, Runs(0x1308)});

  const NativeStack stack = Unwind(0x1600, memory);

  EXPECT_THAT(stack.frames, ElementsAre(Exact(0x1600)));
  EXPECT_EQ(stack.end, StackEnd::kNoUnwindInfo);
}

TEST_F(StackUnwinderTest, GeneratedCodeIsFollowedByFramePointers) {
  AddRoot(0x1300);
  PutCallBefore(0x1308);
  space_.Add({.start = RuntimeAddress(0x900000), .end = RuntimeAddress(0x901000)});
  registers_.Set(x86::kRbp, kStack + 8);
  const FakeMemory memory(kStack, {0, kStack + 0x20, 0x900100, 0, 0, Runs(0x1308)});
  registers_.Set(x86::kRip, 0x900010);
  elf_.sections = {{".eh_frame", {kSection, builder_.bytes()}}};
  space_.Add({.start = RuntimeAddress(Runs(0x1000)),
              .end = RuntimeAddress(Runs(0x2000)),
              .module = elf_.Module(),
              .elf_bias = 0 - kBias});
  NativeStack stack;
  StackUnwinder().Unwind(registers_, space_, memory, stack);

  EXPECT_THAT(stack.frames,
              ElementsAre(RuntimeCodeAddress::At(RuntimeAddress(0x900010)),
                          RuntimeCodeAddress::ReturnTo(RuntimeAddress(0x900100)), Return(0x1308)));
  EXPECT_EQ(stack.end, StackEnd::kRoot);
}

TEST_F(StackUnwinderTest, ALeafInAnUnknownMappingSaysSo) {
  registers_.Set(x86::kRip, 0x12345678);
  NativeStack stack;
  StackUnwinder().Unwind(registers_, space_, FakeMemory(), stack);
  EXPECT_EQ(stack.frames.size(), 1U);
  EXPECT_EQ(stack.end, StackEnd::kUnknownMapping);
}

TEST_F(StackUnwinderTest, FramePointersAloneFollowTheChainAndStopAtARoot) {
  AddFunction(0x1100, 0x40, {0x0e, 64});  // not asked
  AddFunction(0x1200, 0x40, {0x0e, 64});
  AddRoot(0x1300);
  PutCallBefore(0x1210);
  PutCallBefore(0x1308);
  registers_.Set(x86::kRbp, kStack + 0x10);
  const FakeMemory memory(kStack, {0, 0, kStack + 0x30, Runs(0x1210), 0, 0, 0, Runs(0x1308)});

  const NativeStack stack = Unwind(0x1110, memory, UnwindMode::kFramePointers);

  EXPECT_THAT(stack.frames, ElementsAre(Exact(0x1110), Return(0x1210), Return(0x1308)));
  EXPECT_EQ(stack.end, StackEnd::kRoot);
}

TEST_F(StackUnwinderTest, APrologueHasNotSetUpItsFramePointerYet) {
  PutCode(0x1600, {0x55, 0x48, 0x89, 0xe5, 0x90, 0x90, 0x5d, 0xc3});
  AddRoot(0x1300);
  PutCallBefore(0x1308);
  registers_.Set(x86::kRbp, kStack + 0x100);
  FakeMemory memory(kStack, {Runs(0x1308), 0});
  EXPECT_THAT(Unwind(0x1600, memory, UnwindMode::kFramePointers).frames,
              ElementsAre(Exact(0x1600), Return(0x1308)));
  memory.Put(kStack, {kStack + 0x100, Runs(0x1308)});
  EXPECT_THAT(Unwind(0x1601, memory, UnwindMode::kFramePointers).frames,
              ElementsAre(Exact(0x1601), Return(0x1308)));
  EXPECT_THAT(Unwind(0x1606, memory, UnwindMode::kFramePointers).frames,
              ElementsAre(Exact(0x1606), Return(0x1308)));
}

TEST_F(StackUnwinderTest, ExitOfMainIsARootWhereNothingSaysSo) {
  AddFunction(0x1100, 0x10, {});
  PutCode(0x1500, {0x89, 0xc7, 0xe8, 0, 0, 0, 0});  // mov %eax,%edi; call exit

  EXPECT_EQ(Unwind(0x1100, FakeMemory(kStack, {Runs(0x1500), 5, 6})).end, StackEnd::kRoot);
}

TEST_F(StackUnwinderTest, EntryCodeThatJumpedToTheRootIsFoundOnTheStack) {
  AddFunction(0x1100, 0x10, {});
  PutCode(0x1500, {0x89, 0xc7, 0xe8, 0, 0, 0, 0});  // mov %eax,%edi; call exit
  PutCallBefore(0x1816);
  elf_.entry = 0x1800;
  const FakeMemory memory(kStack, {Runs(0x1500), 5, Runs(0x1820), Runs(0x1816), 6});

  const NativeStack stack = Unwind(0x1100, memory);

  // 0x1820 is in the entry code, but no call stands before it.
  EXPECT_THAT(stack.frames, ElementsAre(Exact(0x1100), Return(0x1500), Return(0x1816)));
  EXPECT_EQ(stack.end, StackEnd::kRoot);
}

TEST_F(StackUnwinderTest, AFunctionThatNothingCalledIsTheRootOfItsContext) {
  AddFunction(0x1100, 0x10, {});
  AddFunction(0x1300, 0x10, {});

  const NativeStack stack = Unwind(0x1100, FakeMemory(kStack, {Runs(0x1300), 5}));

  EXPECT_THAT(stack.frames, ElementsAre(Exact(0x1100), Exact(0x1300)));
  EXPECT_EQ(stack.end, StackEnd::kRoot);
}

TEST_F(StackUnwinderTest, AFunctionStartBehindACallIsNoRoot) {
  AddFunction(0x1100, 0x10, {});
  AddFunction(0x1300, 0x10, {});
  PutCallBefore(0x1300);  // the last instruction of code without CFI

  EXPECT_THAT(Unwind(0x1100, FakeMemory(kStack, {Runs(0x1300), 5})).frames,
              ElementsAre(Exact(0x1100), Return(0x1300)));
}

TEST_F(StackUnwinderTest, GosStackSwitchesAreFollowedByTheFramePointer) {
  is_go_ = true;
  // The frame at 0x1600 runs on the system stack; its caller's frame is on a goroutine's, below.
  PutCode(0x1600, {0x48, 0x89, 0xc4, 0xc3});  // mov %rax,%rsp; ret
  PutCallBefore(0x1700);
  PutCode(0x1700, {0x48, 0x89, 0xc4, 0xc3});
  registers_.Set(x86::kRbp, 0x700000);
  PutCallBefore(0x1600);
  FakeMemory both(kStack, {Runs(0x1600)});
  both.Put(0x700000, {0, Runs(0x1700)});
  PutCode(0x1110, {0xc3});
  const NativeStack stack = Unwind(0x1110, both);

  EXPECT_THAT(stack.frames, ElementsAre(Exact(0x1110), Return(0x1600), Return(0x1700)));
  EXPECT_EQ(stack.end, StackEnd::kRoot);
}

TEST_F(StackUnwinderTest, GoGoesOnByTheChainWhereTheCopyEnds) {
  is_go_ = true;
  // The goroutine's stack, from 0x1700 on, was not copied.
  PutCode(0x1600, {0x48, 0x89, 0xc4, 0xc3});  // mov %rax,%rsp; ret
  PutCallBefore(0x1600);
  PutCallBefore(0x1700);
  PutCallBefore(0x1800);
  PutCode(0x1110, {0xc3});
  registers_.Set(x86::kRbp, 0x700000);
  const std::array<uint64_t, 3> words{Runs(0x1600), 0, 0};
  const StackCopy copy(RuntimeAddress(kStack), std::as_bytes(std::span(words)));
  const std::vector<RuntimeAddress> with_leaf{
      RuntimeAddress(Runs(0x1110)), RuntimeAddress(Runs(0x1600)), RuntimeAddress(Runs(0x1700)),
      RuntimeAddress(Runs(0x1800))};
  const std::vector<RuntimeAddress> other{
      RuntimeAddress(Runs(0x1110)), RuntimeAddress(Runs(0x1900)), RuntimeAddress(Runs(0x1700))};

  const NativeStack whole = Unwind(0x1110, copy, UnwindMode::kAuto, {with_leaf, true});
  const NativeStack cut = Unwind(0x1110, copy, UnwindMode::kAuto, {with_leaf, false});
  const NativeStack foreign = Unwind(0x1110, copy, UnwindMode::kAuto, {other, true});

  EXPECT_THAT(whole.frames,
              ElementsAre(Exact(0x1110), Return(0x1600), Return(0x1700), Return(0x1800)));
  EXPECT_EQ(whole.end, StackEnd::kRoot);
  EXPECT_EQ(cut.frames, whole.frames);
  EXPECT_EQ(cut.end, StackEnd::kCopyEnded);
  EXPECT_THAT(foreign.frames, ElementsAre(Exact(0x1110), Return(0x1600)));
  EXPECT_EQ(foreign.end, StackEnd::kCopyEnded);
}

TEST_F(StackUnwinderTest, TheChainLeadsOnWhereRulesGoByTheFramePointer) {
  AddFunction(0x1100, 0x40, {0x0e, 16, 0x86, 2, 0x0d, 6});  // CFA = rbp + 16, rbp at CFA - 16
  AddFunction(0x1200, 0x40, {0x0e, 16, 0x86, 2, 0x0d, 6});
  AddFunction(0x1300, 0x40, {0x0e, 16, 0x86, 2, 0x0d, 6});
  AddFunction(0x1400, 0x40, {0x0e, 24});  // keeps something else in rbp
  AddRoot(0x1500);
  registers_.Set(x86::kRbp, kStack);
  const std::array<uint64_t, 2> words{kStack + 0x20, Runs(0x1210)};
  const StackCopy copy(RuntimeAddress(kStack), std::as_bytes(std::span(words)));
  const auto unwind = [&](std::initializer_list<uint64_t> elf_addresses) {
    std::vector<RuntimeAddress> chain;
    for (const uint64_t address : elf_addresses) {
      chain.emplace_back(Runs(address));
    }
    return Unwind(0x1110, copy, UnwindMode::kAuto, {chain, true});
  };

  const NativeStack to_root = unwind({0x1110, 0x1210, 0x1310, 0x1508});
  const NativeStack to_other = unwind({0x1110, 0x1210, 0x1410, 0x1508});

  EXPECT_THAT(to_root.frames,
              ElementsAre(Exact(0x1110), Return(0x1210), Return(0x1310), Return(0x1508)));
  EXPECT_EQ(to_root.end, StackEnd::kRoot);
  EXPECT_THAT(to_other.frames, ElementsAre(Exact(0x1110), Return(0x1210), Return(0x1410)));
  EXPECT_EQ(to_other.end, StackEnd::kCopyEnded);
}

class Arm64UnwinderTest : public StackUnwinderTest {
 protected:
  Arm64UnwinderTest() {
    elf_.machine = EM_AARCH64;
    registers_ = UserRegisters(Architecture::kArm64);
    registers_.Set(arm64::kSp, kStack);
    registers_.Set(arm64::kFp, 0);
    builder_.AddCommon("", {});
    common_ = builder_.AddCommon("zR", {0x0c, 31, 0}, 30, /*code_align=*/4);
  }
  void PutWord(uint64_t elf_address, uint32_t word) {
    PutCode(elf_address, {static_cast<int>(word & 0xff), static_cast<int>(word >> 8 & 0xff),
                          static_cast<int>(word >> 16 & 0xff), static_cast<int>(word >> 24)});
  }
};

TEST_F(Arm64UnwinderTest, ALeafReturnsToTheLinkRegister) {
  AddFunction(0x1100, 0x40, {});
  AddFunction(0x1200, 0x40, {0x0e, 32, 0x9d, 4, 0x9e, 3});  // x29 at CFA-32, x30 at CFA-24
  AddFunction(0x1300, 0x10, {0x07, 30});
  registers_.Set(arm64::kLr, Runs(0x1210));
  const FakeMemory memory(kStack, {0x29, Runs(0x1308), 0, 0});

  const NativeStack stack = Unwind(0x1110, memory);

  EXPECT_THAT(stack.frames, ElementsAre(Exact(0x1110), Return(0x1210), Return(0x1308)));
  EXPECT_EQ(stack.end, StackEnd::kRoot);
}

TEST_F(Arm64UnwinderTest, TheLinkRegisterServesTheLeafOnly) {
  AddFunction(0x1100, 0x40, {});
  AddFunction(0x1200, 0x40, {});  // claims to have it, too
  registers_.Set(arm64::kLr, Runs(0x1210));

  const NativeStack stack = Unwind(0x1110, FakeMemory());

  EXPECT_THAT(stack.frames, ElementsAre(Exact(0x1110), Return(0x1210)));
  EXPECT_EQ(stack.end, StackEnd::kRegisterUnknown);
}

TEST_F(Arm64UnwinderTest, SignaturesAreTakenOffReturnAddresses) {
  AddFunction(0x1100, 0x40, {0x2d, 0x0e, 16, 0x9d, 2, 0x9e, 1});
  AddFunction(0x1300, 0x10, {0x07, 30});
  signature_mask_ = 0x007f000000000000;
  const FakeMemory memory(kStack, {0, Runs(0x1308) | 0x0045000000000000});

  EXPECT_THAT(Unwind(0x1110, memory).frames, ElementsAre(Exact(0x1110), Return(0x1308)));
}

TEST_F(Arm64UnwinderTest, FramePointersServeWhereThereIsNoCfi) {
  AddFunction(0x1300, 0x10, {0x07, 30});
  PutWord(0x1304, 0x94000000);  // bl
  registers_.Set(arm64::kFp, kStack + 0x10);
  const FakeMemory memory(kStack, {0, 0, 0, Runs(0x1308)});

  EXPECT_THAT(Unwind(0x1610, memory).frames, ElementsAre(Exact(0x1610), Return(0x1308)));
}

TEST_F(Arm64UnwinderTest, AboveAFrameLeftByItsRecordTheFramePointerGivesTheCfa) {
  // The record of 0x1610 is at the bottom of its frame; 0x1210 counts from sp, which is not known.
  AddFunction(0x1200, 0x40, {0x0e, 32, 0x9d, 4, 0x9e, 3});
  AddFunction(0x1300, 0x10, {0x07, 30});
  PutWord(0x120c, 0x94000000);  // bl
  registers_.Set(arm64::kFp, kStack + 0x10);
  FakeMemory memory(kStack, {0, 0, kStack + 0x80, Runs(0x1210)});
  memory.Put(kStack + 0x80, {0x29, Runs(0x1308), 0, 0});

  EXPECT_THAT(Unwind(0x1610, memory).frames,
              ElementsAre(Exact(0x1610), Return(0x1210), Return(0x1308)));
}

TEST_F(Arm64UnwinderTest, ASignalTrampolineIsKnownByItsInstructions) {
  AddFunction(0x1100, 0x10, {});
  AddFunction(0x1200, 0x10, {});
  AddFunction(0x1300, 0x10, {0x07, 30});
  PutWord(0x1400, 0xd2801168);  // mov x8, #139
  PutWord(0x1404, 0xd4000001);  // svc #0
  registers_.Set(arm64::kLr, Runs(0x1400));
  FakeMemory memory;
  memory.Put(kStack + 312 + 29 * 8, {0x29, Runs(0x1308), 0x700000, Runs(0x1204)});
  for (uint64_t i = 0; i < 29; ++i) {
    memory.Put(kStack + 312 + i * 8, {i});
  }

  const NativeStack stack = Unwind(0x1104, memory);

  EXPECT_THAT(stack.frames,
              ElementsAre(Exact(0x1104), Exact(0x1400), Exact(0x1204), Return(0x1308)));
  EXPECT_EQ(stack.end, StackEnd::kRoot);
}

TEST(ReasonFor, NamesEveryEndButTheRoot) {
  EXPECT_EQ(ReasonFor(StackEnd::kRoot), "");
  EXPECT_EQ(ReasonFor(StackEnd::kCopyEnded), "stack copy ended");
  EXPECT_EQ(ReasonFor(StackEnd::kNoUnwindInfo), "no unwind information");
}

}  // namespace
}  // namespace whyslow
