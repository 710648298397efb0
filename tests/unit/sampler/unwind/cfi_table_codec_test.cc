#include "sampler/unwind/cfi_table_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <cstring>

#include "tests/unit/sampler/unwind/cfi_builder.h"

namespace whyslow {
namespace {

const CfiTableKey kKey{.build_id = "0123456789abcdef0123456789abcdef01234567",
                       .file_size = 59'000'000,
                       .owner = 1000,
                       .machine = EM_X86_64};

// Functions with every kind of rule: frames, other registers, expressions, signal frames, gaps.
CfiTable SampleTable() {
  EhFrameBuilder builder(0x8000);
  const size_t common = AddUsualCommon(builder);
  builder.AddFunction(common, 0x1000, 0x100, {0x41, 0x0e, 16, 0x86, 2, 0x43, 0x0d, 6});
  builder.AddFunction(common, 0x1100, 0x80, {0x44, 0x83, 3, 0x8c, 4, 0x04, 0x40, 0, 0, 0, 0xc3});
  builder.AddFunction(common, 0x1200, 0x80, {0x10, 12, 2, 0x77, 8, 0x41, 0x16, 3, 1, 0x30});
  builder.AddFunction(common, 0x1300, 0x80, {0x0f, 3, 0x77, 0x10, 0x06, 0x41, 0x09, 3, 13});
  builder.AddFunction(common, 0x1400, 0x80, {0x07, 16, 0x41, 0x14, 6, 4, 0x41, 0xff});
  const size_t signals = AddUsualCommon(builder, "zRS");
  builder.AddFunction(signals, 0x2000, 0x10, {});
  const CfiSource source{.bytes = builder.span(), .address = ElfAddress(builder.address())};
  return CfiTable::FromSources({&source, 1}, Architecture::kX86_64, ElfAddress(0x1000),
                               ElfAddress(0x5000));
}

std::span<const std::byte> BytesOf(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// The bytes with a right checksum, as somebody who wants to fool us would write them.
std::string WithChecksum(std::string bytes) {
  bytes.resize(bytes.size() - 4);
  const auto sum = static_cast<uint32_t>(
      crc32_z(0, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()));
  for (int i = 0; i < 4; ++i) {
    bytes.push_back(static_cast<char>(sum >> (8 * i)));
  }
  return bytes;
}

void ExpectEqual(const CfiTable& one, const CfiTable& other) {
  EXPECT_EQ(one.base(), other.base());
  ASSERT_EQ(one.row_count(), other.row_count());
  for (size_t i = 0; i < one.row_count(); ++i) {
    EXPECT_EQ(one.rows()[i].pc, other.rows()[i].pc);
    EXPECT_EQ(one.rows()[i].rule, other.rows()[i].rule);
  }
  EXPECT_EQ(one.rules().rules, other.rules().rules);
  EXPECT_EQ(one.rules().others, other.rules().others);
  EXPECT_EQ(one.rules().expressions, other.rules().expressions);
}

// Every index in it leads somewhere: looked up as the unwinder does.
void ExpectSound(const CfiTable& table) {
  const RuleSet& set = table.rules();
  const auto check = [&set](const RegisterRule& rule) {
    ASSERT_LT(rule.number, kMaxRegisters);
    ASSERT_LT(rule.source, kMaxRegisters);
    if (rule.how == Recovery::kExpression || rule.how == Recovery::kAtExpression) {
      ASSERT_LT(static_cast<size_t>(rule.offset), set.expressions.size());
    }
  };
  for (const CfiRow& row : table.rows()) {
    ASSERT_LT(row.rule, set.rules.size());
    const auto found = &table.Find(table.base() + row.pc) - set.rules.data();
    ASSERT_LT(static_cast<size_t>(found), set.rules.size());
  }
  for (const UnwindRule& rule : set.rules) {
    if (rule.cfa == CfaKind::kExpression) {
      ASSERT_LT(static_cast<size_t>(rule.cfa_offset), set.expressions.size());
    }
    ASSERT_LE(size_t{rule.first_other} + rule.other_count, set.others.size());
    check(rule.return_address);
    check(rule.frame_pointer);
    for (const RegisterRule& other : set.OthersOf(rule)) {
      check(other);
    }
  }
}

TEST(CfiTableCodec, ATableComesBackAsItWas) {
  const CfiTable table = SampleTable();
  ASSERT_GT(table.row_count(), 10U);
  ASSERT_GE(table.rules().expressions.size(), 3U);
  ASSERT_FALSE(table.rules().others.empty());
  const std::string bytes = EncodeCfiTable(table, kKey);
  const std::optional<CfiTable> again = DecodeCfiTable(BytesOf(bytes), kKey);
  ASSERT_TRUE(again);
  ExpectEqual(table, *again);
  ExpectSound(*again);
  EXPECT_EQ(EncodeCfiTable(*again, kKey), bytes);
}

TEST(CfiTableCodec, ATableWithoutRulesComesBackToo) {
  const CfiTable table =
      CfiTable::FromSources({}, Architecture::kArm64, ElfAddress(0x1000), ElfAddress(0x2000));
  const std::string bytes = EncodeCfiTable(table, kKey);
  const std::optional<CfiTable> again = DecodeCfiTable(BytesOf(bytes), kKey);
  ASSERT_TRUE(again);
  ExpectEqual(table, *again);
}

TEST(CfiTableCodec, ATableIsForItsOwnModuleOnly) {
  const std::string bytes = EncodeCfiTable(SampleTable(), kKey);
  CfiTableKey other = kKey;
  other.build_id.back() = '8';
  EXPECT_FALSE(DecodeCfiTable(BytesOf(bytes), other));
  other = kKey;
  ++other.file_size;
  EXPECT_FALSE(DecodeCfiTable(BytesOf(bytes), other));
  other = kKey;
  other.owner = 0;
  EXPECT_FALSE(DecodeCfiTable(BytesOf(bytes), other));
  other = kKey;
  other.machine = EM_AARCH64;
  EXPECT_FALSE(DecodeCfiTable(BytesOf(bytes), other));
}

TEST(CfiTableCodec, AnotherVersionIsRefused) {
  std::string bytes = EncodeCfiTable(SampleTable(), kKey);
  bytes[8] = static_cast<char>(kCfiTableVersion + 1);
  EXPECT_FALSE(DecodeCfiTable(BytesOf(WithChecksum(bytes)), kKey));
}

TEST(CfiTableCodec, EveryChangedByteIsNoticed) {
  const std::string bytes = EncodeCfiTable(SampleTable(), kKey);
  for (size_t at = 0; at < bytes.size(); ++at) {
    for (const int flip : {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff}) {
      std::string damaged = bytes;
      damaged[at] = static_cast<char>(damaged[at] ^ flip);
      ASSERT_FALSE(DecodeCfiTable(BytesOf(damaged), kKey)) << "byte " << at << " ^ " << flip;
    }
  }
}

TEST(CfiTableCodec, EveryTruncationAndAnythingBehindTheEndIsNoticed) {
  const std::string bytes = EncodeCfiTable(SampleTable(), kKey);
  for (size_t size = 0; size < bytes.size(); ++size) {
    ASSERT_FALSE(DecodeCfiTable(BytesOf(bytes).first(size), kKey)) << size << " bytes";
  }
  EXPECT_FALSE(DecodeCfiTable(BytesOf(bytes + '\0'), kKey));
  EXPECT_FALSE(DecodeCfiTable(BytesOf(WithChecksum(bytes + '\0')), kKey));
}

TEST(CfiTableCodec, WithAForgedChecksumEveryIndexStillLeadsSomewhere) {
  const std::string bytes = EncodeCfiTable(SampleTable(), kKey);
  size_t accepted = 0;
  for (size_t at = 0; at + 4 < bytes.size(); ++at) {
    for (int value = 0; value < 256; ++value) {
      std::string forged = bytes;
      forged[at] = static_cast<char>(value);
      const std::optional<CfiTable> table = DecodeCfiTable(BytesOf(WithChecksum(forged)), kKey);
      if (table) {
        ++accepted;
        ExpectSound(*table);
        ASSERT_FALSE(HasFatalFailure()) << "byte " << at << " = " << value;
      }
    }
  }
  EXPECT_GT(accepted, bytes.size());  // so that the check above has seen something
}

// Other bytes for the same CFI: either the format or what is compiled has changed. Then caches on
// users' disks are wrong: let kCfiTableVersion grow, and give the new checksum here.
TEST(CfiTableCodec, TheVersionGrowsWithWhatIsCompiled) {
  const std::string bytes = EncodeCfiTable(SampleTable(), kKey);
  uint32_t checksum = 0;
  std::memcpy(&checksum, bytes.data() + bytes.size() - 4, 4);
  EXPECT_EQ(kCfiTableVersion, 1U);
  EXPECT_EQ(checksum, 765582696U);
}

}  // namespace
}  // namespace whyslow
