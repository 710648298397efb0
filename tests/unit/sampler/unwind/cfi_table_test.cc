#include "sampler/unwind/cfi_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/sampler/unwind/cfi_builder.h"

namespace whyslow {
namespace {

constexpr uint64_t kSection = 0x8000;

CfiTable Compile(const EhFrameBuilder& builder, Architecture architecture = Architecture::kX86_64) {
  const CfiSource source{.bytes = builder.span(), .address = ElfAddress(builder.address())};
  return CfiTable::FromSources({&source, 1}, architecture, ElfAddress(0x1000), ElfAddress(0x5000));
}

// A function at [0x1000, 0x1100) with these instructions.
CfiTable CompileOne(std::initializer_list<int> instructions, std::string_view augmentation = "zR") {
  EhFrameBuilder builder(kSection);
  const size_t common = AddUsualCommon(builder, augmentation);
  builder.AddFunction(common, 0x1000, 0x100, instructions);
  return Compile(builder);
}

const UnwindRule& At(const CfiTable& table, uint64_t address) {
  return table.Find(ElfAddress(address));
}

TEST(CfiTable, AFunctionBeginsWithWhatItsCommonRecordSays) {
  const CfiTable table = CompileOne({});

  const UnwindRule& rule = At(table, 0x1000);
  EXPECT_EQ(rule.cfa, CfaKind::kRegister);
  EXPECT_EQ(rule.cfa_register, x86::kRsp);
  EXPECT_EQ(rule.cfa_offset, 8);
  EXPECT_EQ(rule.return_address.how, Recovery::kAtCfa);
  EXPECT_EQ(rule.return_address.offset, -8);
  EXPECT_EQ(rule.frame_pointer.how, Recovery::kSame);
}

TEST(CfiTable, NothingIsSaidOutsideOfFunctions) {
  EhFrameBuilder builder(kSection);
  const size_t common = AddUsualCommon(builder);
  builder.AddFunction(common, 0x1100, 0x10, {});
  builder.AddFunction(common, 0x1200, 0x10, {});
  const CfiTable table = Compile(builder);

  EXPECT_EQ(At(table, 0x10ff).cfa, CfaKind::kNone);
  EXPECT_EQ(At(table, 0x1100).cfa, CfaKind::kRegister);
  EXPECT_EQ(At(table, 0x110f).cfa, CfaKind::kRegister);
  EXPECT_EQ(At(table, 0x1110).cfa, CfaKind::kNone);
  EXPECT_EQ(At(table, 0x1200).cfa, CfaKind::kRegister);
  EXPECT_EQ(At(table, 0x1210).cfa, CfaKind::kNone);
  EXPECT_EQ(At(table, 0x0).cfa, CfaKind::kNone);
  EXPECT_EQ(At(table, ~uint64_t{0}).cfa, CfaKind::kNone);
}

TEST(CfiTable, AFrameIsSetUpStepByStep) {
  // push %rbp; mov %rsp,%rbp; ... ; leave
  const CfiTable table =
      CompileOne({0x41, 0x0e, 16, 0x86, 2, 0x43, 0x0d, 6, 0x02, 0x40, 0x0c, 7, 8});

  EXPECT_EQ(At(table, 0x1000).cfa_offset, 8);
  EXPECT_EQ(At(table, 0x1001).cfa_offset, 16);
  EXPECT_EQ(At(table, 0x1001).cfa_register, x86::kRsp);
  EXPECT_EQ(At(table, 0x1001).frame_pointer.offset, -16);
  EXPECT_EQ(At(table, 0x1004).cfa_register, x86::kRbp);
  EXPECT_EQ(At(table, 0x1043).cfa_register, x86::kRbp);
  EXPECT_EQ(At(table, 0x1044).cfa_register, x86::kRsp);
}

TEST(CfiTable, EveryWayToAdvanceIsUnderstood) {
  // advance_loc 1, advance_loc1 2, advance_loc2 4, advance_loc4 8
  const CfiTable table = CompileOne(
      {0x41, 0x0e, 16, 0x02, 2, 0x0e, 24, 0x03, 4, 0, 0x0e, 32, 0x04, 8, 0, 0, 0, 0x0e, 40});

  EXPECT_EQ(At(table, 0x1001).cfa_offset, 16);
  EXPECT_EQ(At(table, 0x1003).cfa_offset, 24);
  EXPECT_EQ(At(table, 0x1007).cfa_offset, 32);
  EXPECT_EQ(At(table, 0x100f).cfa_offset, 40);
}

TEST(CfiTable, RememberedStatesNestAndComeBack) {
  const CfiTable table = CompileOne(
      {0x41, 0x0e, 16, 0x0a, 0x41, 0x0e, 24, 0x0a, 0x41, 0x0e, 32, 0x41, 0x0b, 0x41, 0x0b});

  EXPECT_EQ(At(table, 0x1003).cfa_offset, 32);
  EXPECT_EQ(At(table, 0x1004).cfa_offset, 24);
  EXPECT_EQ(At(table, 0x1005).cfa_offset, 16);
}

TEST(CfiTable, ARestoredRegisterIsAsTheCommonRecordHadIt) {
  // offset(rbp, 2); advance; restore(rbp); advance; undefined(rip); advance; restore_extended(rip)
  const CfiTable table = CompileOne({0x86, 2, 0x41, 0xc6, 0x41, 0x07, 16, 0x41, 0x06, 16});

  EXPECT_EQ(At(table, 0x1000).frame_pointer.how, Recovery::kAtCfa);
  EXPECT_EQ(At(table, 0x1001).frame_pointer.how, Recovery::kSame);
  EXPECT_EQ(At(table, 0x1002).return_address.how, Recovery::kUndefined);
  EXPECT_EQ(At(table, 0x1003).return_address.how, Recovery::kAtCfa);
}

TEST(CfiTable, EveryKindOfRegisterRuleIsUnderstood) {
  const CfiTable table = CompileOne({0x05, 3,  2,           // offset_extended rbx, cfa-16
                                     0x11, 12, 3,           // offset_extended_sf r12, cfa-24
                                     0x14, 13, 4,           // val_offset r13, cfa-32
                                     0x15, 14, 0x7f,        // val_offset_sf r14, cfa+8
                                     0x09, 15, 1,           // register r15 in rdx
                                     0x10, 6,  1,    0x96,  // expression rbp
                                     0x16, 7,  1,    0x96,  // val_expression rsp
                                     0x2f, 2,  5,           // GNU_negative_offset_extended rcx
                                     0x2e, 16});            // GNU_args_size

  const UnwindRule& rule = At(table, 0x1000);
  EXPECT_EQ(rule.frame_pointer.how, Recovery::kAtExpression);
  const auto others = table.rules().OthersOf(rule);
  ASSERT_EQ(others.size(), 7U);
  EXPECT_EQ(others[0], (RegisterRule{.how = Recovery::kAtCfa, .number = 2, .offset = 40}));
  EXPECT_EQ(others[1], (RegisterRule{.how = Recovery::kAtCfa, .number = 3, .offset = -16}));
  EXPECT_EQ(others[2].how, Recovery::kExpression);
  EXPECT_EQ(others[3], (RegisterRule{.how = Recovery::kAtCfa, .number = 12, .offset = -24}));
  EXPECT_EQ(others[4], (RegisterRule{.how = Recovery::kCfaPlus, .number = 13, .offset = -32}));
  EXPECT_EQ(others[5], (RegisterRule{.how = Recovery::kCfaPlus, .number = 14, .offset = 8}));
  EXPECT_EQ(others[6], (RegisterRule{.how = Recovery::kRegister, .number = 15, .source = 1}));
}

TEST(CfiTable, TheCfaCanBeAnExpression) {
  // def_cfa_expression breg6+16; def_cfa_sf rbp, 2*-8; def_cfa_offset_sf
  const CfiTable table = CompileOne({0x0f, 2, 0x76, 16, 0x41, 0x12, 6, 0x7e, 0x41, 0x13, 0x7c});

  const UnwindRule& rule = At(table, 0x1000);
  ASSERT_EQ(rule.cfa, CfaKind::kExpression);
  EXPECT_THAT(table.rules().expressions[static_cast<size_t>(rule.cfa_offset)],
              ::testing::ElementsAre(std::byte{0x76}, std::byte{16}));
  EXPECT_EQ(At(table, 0x1001).cfa_offset, 16);
  EXPECT_EQ(At(table, 0x1002).cfa_offset, 32);
}

TEST(CfiTable, AugmentationsAreReadOrSkipped) {
  EhFrameBuilder builder(kSection);
  const size_t common = AddUsualCommon(builder, "zPLR");
  builder.AddFunction(common, 0x1000, 0x10, {0x41, 0x0e, 16}, /*has_language_data=*/true);
  const size_t signal = AddUsualCommon(builder, "zRS");
  builder.AddFunction(signal, 0x1010, 0x10, {});
  const size_t keyed = builder.AddCommon("zRB", {0x0c, 31, 0, 0x2d}, 30);
  builder.AddFunction(keyed, 0x1020, 0x10, {0x41, 0x2d});
  const CfiTable table = Compile(builder);

  EXPECT_EQ(At(table, 0x1001).cfa_offset, 16);
  EXPECT_FALSE(At(table, 0x1001).is_signal_frame);
  EXPECT_TRUE(At(table, 0x1010).is_signal_frame);
  EXPECT_TRUE(At(table, 0x1020).return_address_signed);
  EXPECT_FALSE(At(table, 0x1021).return_address_signed);
}

TEST(CfiTable, CodeAdvancesInUnitsOfItsAlignment) {
  EhFrameBuilder builder(kSection);
  const size_t common = builder.AddCommon("zR", {0x0c, 31, 0}, 30, /*code_align=*/4);
  builder.AddFunction(common, 0x1000, 0x40, {0x42, 0x0e, 16, 0x9d, 2, 0x9e, 1});
  const CfiTable table = Compile(builder, Architecture::kArm64);

  EXPECT_EQ(At(table, 0x1007).cfa_offset, 0);
  EXPECT_EQ(At(table, 0x1007).return_address.how, Recovery::kSame);
  EXPECT_EQ(At(table, 0x1008).cfa_offset, 16);
  EXPECT_EQ(At(table, 0x1008).frame_pointer.offset, -16);
  EXPECT_EQ(At(table, 0x1008).return_address.offset, -8);
}

TEST(CfiTable, EqualRulesAreKeptOnce) {
  EhFrameBuilder builder(kSection);
  const size_t common = AddUsualCommon(builder);
  builder.AddFunction(common, 0x1000, 0x10, {0x41, 0x0e, 16, 0x83, 2});
  builder.AddFunction(common, 0x1010, 0x10, {0x44, 0x0e, 16, 0x83, 2});
  const CfiTable table = Compile(builder);

  EXPECT_EQ(table.rules().rules.size(), 3U);  // none, at the start, after the push
  EXPECT_EQ(&At(table, 0x1001), &At(table, 0x1014));
}

TEST(CfiTable, FunctionsOutOfOrderAreSorted) {
  EhFrameBuilder builder(kSection);
  const size_t common = AddUsualCommon(builder);
  builder.AddFunction(common, 0x1200, 0x10, {0x0e, 32});
  builder.AddFunction(common, 0x1000, 0x10, {0x0e, 16});
  const CfiTable table = Compile(builder);

  EXPECT_EQ(At(table, 0x1000).cfa_offset, 16);
  EXPECT_EQ(At(table, 0x1100).cfa, CfaKind::kNone);
  EXPECT_EQ(At(table, 0x1200).cfa_offset, 32);
}

TEST(CfiTable, AFunctionEndsWhereTheNextBegins) {
  EhFrameBuilder builder(kSection);
  const size_t common = AddUsualCommon(builder);
  builder.AddFunction(common, 0x1000, 0x1000, {0x0e, 16});
  builder.AddFunction(common, 0x1100, 0x10, {0x0e, 32});
  const CfiTable table = Compile(builder);

  EXPECT_EQ(At(table, 0x10ff).cfa_offset, 16);
  EXPECT_EQ(At(table, 0x1100).cfa_offset, 32);
  EXPECT_EQ(At(table, 0x1110).cfa, CfaKind::kNone);
}

TEST(CfiTable, RecordsOfDroppedFunctionsAreIgnored) {
  EhFrameBuilder builder(kSection);
  const size_t common = AddUsualCommon(builder);
  builder.AddFunction(common, 0, 0x2000, {0x0e, 64});
  builder.AddFunction(common, 0x1000, 0x10, {0x0e, 16});
  const CfiTable table = Compile(builder);

  EXPECT_EQ(At(table, 0x1000).cfa_offset, 16);
  EXPECT_EQ(At(table, 0x1010).cfa, CfaKind::kNone);
}

TEST(CfiTable, InstructionsThatMakeNoSenseEndInNoRule) {
  // An unknown opcode after one good row; a restore without a remember; a CFA offset without a CFA
  // register; an expression that is longer than the record.
  EXPECT_EQ(At(CompileOne({0x41, 0x0e, 16, 0x41, 0x3f}), 0x1001).cfa_offset, 16);
  EXPECT_EQ(At(CompileOne({0x41, 0x0e, 16, 0x41, 0x3f}), 0x1002).cfa, CfaKind::kNone);
  EXPECT_EQ(At(CompileOne({0x0b}), 0x1000).cfa, CfaKind::kNone);
  EXPECT_EQ(At(CompileOne({0x0f, 1, 0x96, 0x0e, 16}), 0x1000).cfa, CfaKind::kNone);
  EXPECT_EQ(At(CompileOne({0x0f, 100, 0x96}), 0x1000).cfa, CfaKind::kNone);
}

TEST(CfiTable, ATowerOfRememberedStatesIsGivenUp) {
  EhFrameBuilder builder(kSection);
  const size_t common = AddUsualCommon(builder);
  builder.AddFunction(common, 0x1000, 0x10,
                      {0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a,
                       0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a,
                       0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a});

  EXPECT_EQ(At(Compile(builder), 0x1000).cfa, CfaKind::kNone);
}

TEST(CfiTable, EveryTruncationOfASectionIsHarmless) {
  EhFrameBuilder builder(kSection);
  const size_t common = AddUsualCommon(builder, "zPLR");
  builder.AddFunction(common, 0x1000, 0x100, {0x41, 0x0e, 16, 0x86, 2, 0x0f, 2, 0x76, 16}, true);
  for (size_t size = 0; size < builder.bytes().size(); ++size) {
    const CfiSource source{.bytes = builder.span().first(size), .address = ElfAddress(kSection)};
    const CfiTable table = CfiTable::FromSources({&source, 1}, Architecture::kX86_64,
                                                 ElfAddress(0x1000), ElfAddress(0x5000));
    EXPECT_EQ(At(table, 0x1000).cfa, CfaKind::kNone);
  }
}

TEST(CfiTable, AFileOffersItsCfiByTheSection) {
  EhFrameBuilder builder(kSection);
  const size_t common = AddUsualCommon(builder);
  builder.AddFunction(common, 0x1000, 0x10, {0x0e, 16});
  builder.AddTerminator();
  TestElf file;
  file.sections = {{".eh_frame", {kSection, builder.bytes()}}};

  const CfiTable table = CfiTable::FromElf(*file.Module()->elf());

  EXPECT_EQ(At(table, 0x1000).cfa_offset, 16);
}

TEST(CfiTable, WithoutSectionHeadersTheProgramHeaderLeadsToTheCfi) {
  EhFrameBuilder builder(0x1800);
  const size_t common = AddUsualCommon(builder);
  builder.AddFunction(common, 0x1000, 0x10, {0x0e, 16});
  builder.AddTerminator();
  TestElf file;
  file.has_section_headers = false;
  file.index_address = 0x1700;
  std::copy(builder.bytes().begin(), builder.bytes().end(), file.code.begin() + 0x800);
  CfiBytes index;
  Append(index, {1, 0x1b, 0xff, 0xff});
  AppendNumber(index, int32_t{0x1800 - 0x1704});
  std::copy(index.begin(), index.end(), file.code.begin() + 0x700);

  EXPECT_EQ(At(CfiTable::FromElf(*file.Module()->elf()), 0x1000).cfa_offset, 16);
}

TEST(CfiTable, DebugFrameFillsWhatEhFrameLeavesOpen) {
  EhFrameBuilder builder(kSection);
  const size_t common = AddUsualCommon(builder);
  builder.AddFunction(common, 0x1000, 0x10, {0x0e, 16});
  CfiBytes debug_frame;
  const auto add_function = [&debug_frame](uint64_t start, int cfa_offset) {
    AppendNumber(debug_frame, uint32_t{4 + 8 + 8 + 4});
    AppendNumber(debug_frame, uint32_t{0});  // the common record, which comes last
    AppendNumber(debug_frame, start);
    AppendNumber(debug_frame, uint64_t{0x10});
    Append(debug_frame, {0x0e, cfa_offset, 0, 0});
  };
  AppendNumber(debug_frame, uint32_t{4 + 4 + 8});
  AppendNumber(debug_frame, uint32_t{0xffffffff});
  Append(debug_frame, {3, 0, 1, 0x78, 16, 0x0c, 7, 8, 0x90, 1, 0, 0});
  add_function(0x1000, 64);
  add_function(0x1010, 32);
  TestElf file;
  file.sections = {{".eh_frame", {kSection, builder.bytes()}}, {".debug_frame", {0, debug_frame}}};

  const CfiTable table = CfiTable::FromElf(*file.Module()->elf());

  EXPECT_EQ(At(table, 0x1000).cfa_offset, 16);
  EXPECT_EQ(At(table, 0x1010).cfa_offset, 32);
}

TEST(CfiTable, AFileWithoutCfiHasNoRules) {
  EXPECT_EQ(At(CfiTable::FromElf(*TestElf().Module()->elf()), 0x1000).cfa, CfaKind::kNone);
}

}  // namespace
}  // namespace whyslow
