#include "sampler/unwind/cfi_table_codec.h"

#include <zlib.h>

#include <limits>
#include <string_view>
#include <utility>
#include <vector>

#include "base/byte_reader.h"
#include "sampler/registers.h"
#include "sampler/unwind/rule_interner.h"

// Little-endian; "uleb" is DWARF's variable length. In this order:
//   "WSLOWCFI"  u32 version
//   uleb-counted build ID, u64 file size, u32 owner, u16 machine, u64 base
//   expressions: uleb count; each a uleb-counted string of bytes
//   others: uleb count; each a register rule: u8 how, u8 number, u8 source, i32 offset
//   rules: uleb count; each u8 CFA kind, u8 CFA register, u8 flags, i32 CFA offset, register rules
//   of
//       return address and frame pointer, uleb first other, uleb count of others
//   rows: uleb count; each uleb distance from the row before, uleb rule
//   u32 CRC-32 of all before it

namespace whyslow {
namespace {

constexpr std::string_view kMagic = "WSLOWCFI";
constexpr size_t kChecksumBytes = 4;
constexpr uint8_t kSignalFrameFlag = 1;
constexpr uint8_t kReturnAddressSignedFlag = 2;

uint32_t ChecksumOf(std::span<const std::byte> bytes) {
  return static_cast<uint32_t>(
      crc32_z(0, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()));
}

class Writer {
 public:
  template <class T>
  void Fixed(T value) {
    for (size_t i = 0; i < sizeof(T); ++i) {
      out_.push_back(static_cast<char>(static_cast<uint64_t>(value) >> (8 * i)));
    }
  }
  void Uleb(uint64_t value) {
    for (; value >= 0x80; value >>= 7) {
      out_.push_back(static_cast<char>(value | 0x80));
    }
    out_.push_back(static_cast<char>(value));
  }
  void Text(std::string_view text) {
    Uleb(text.size());
    out_.append(text);
  }
  void Register(const RegisterRule& rule) {
    Fixed(static_cast<uint8_t>(rule.how));
    Fixed(rule.number);
    Fixed(rule.source);
    Fixed(rule.offset);
  }
  std::string& out() { return out_; }

 private:
  std::string out_;
};

void WriteHead(Writer& writer, const CfiTableKey& key, ElfAddress base) {
  writer.out().append(kMagic);
  writer.Fixed(kCfiTableVersion);
  writer.Text(key.build_id);
  writer.Fixed(key.file_size);
  writer.Fixed(key.owner);
  writer.Fixed(key.machine);
  writer.Fixed(base.value());
}

void WriteRules(Writer& writer, const RuleSet& set) {
  writer.Uleb(set.expressions.size());
  for (const std::vector<std::byte>& expression : set.expressions) {
    writer.Text({reinterpret_cast<const char*>(expression.data()), expression.size()});
  }
  writer.Uleb(set.others.size());
  for (const RegisterRule& other : set.others) {
    writer.Register(other);
  }
  writer.Uleb(set.rules.size());
  for (const UnwindRule& rule : set.rules) {
    writer.Fixed(static_cast<uint8_t>(rule.cfa));
    writer.Fixed(rule.cfa_register);
    writer.Fixed(static_cast<uint8_t>((rule.is_signal_frame ? kSignalFrameFlag : 0) |
                                      (rule.return_address_signed ? kReturnAddressSignedFlag : 0)));
    writer.Fixed(rule.cfa_offset);
    writer.Register(rule.return_address);
    writer.Register(rule.frame_pointer);
    writer.Uleb(rule.first_other);
    writer.Uleb(rule.other_count);
  }
}

// A list begins with its count. What could not fit into the rest of the bytes, or is more than the
// compiler keeps, is refused before anything is allocated for it.
size_t ReadCount(ByteReader& reader, size_t smallest_entry, size_t limit) {
  const uint64_t count = reader.Uleb();
  if (count > limit || count > reader.remaining() / smallest_entry) {
    reader.Fail();
    return 0;
  }
  return static_cast<size_t>(count);
}

bool IsIndex(int32_t number, size_t size) {
  return number >= 0 && static_cast<size_t>(number) < size;
}

constexpr size_t kRegisterRuleBytes = 7;

RegisterRule ReadRegister(ByteReader& reader, const RuleSet& set) {
  const uint8_t how = reader.U8();
  RegisterRule rule;
  rule.number = reader.U8();
  rule.source = reader.U8();
  rule.offset = reader.Fixed<int32_t>();
  rule.how = static_cast<Recovery>(how);
  const bool has_expression =
      rule.how == Recovery::kAtExpression || rule.how == Recovery::kExpression;
  if (how > static_cast<uint8_t>(Recovery::kExpression) || rule.number >= kMaxRegisters ||
      rule.source >= kMaxRegisters ||
      (has_expression && !IsIndex(rule.offset, set.expressions.size()))) {
    reader.Fail();
    return {};
  }
  return rule;
}

UnwindRule ReadRule(ByteReader& reader, const RuleSet& set) {
  const uint8_t cfa = reader.U8();
  UnwindRule rule;
  rule.cfa = static_cast<CfaKind>(cfa);
  rule.cfa_register = reader.U8();
  const uint8_t flags = reader.U8();
  rule.is_signal_frame = (flags & kSignalFrameFlag) != 0;
  rule.return_address_signed = (flags & kReturnAddressSignedFlag) != 0;
  rule.cfa_offset = reader.Fixed<int32_t>();
  rule.return_address = ReadRegister(reader, set);
  rule.frame_pointer = ReadRegister(reader, set);
  const uint64_t first_other = reader.Uleb();
  const uint64_t other_count = reader.Uleb();
  if (cfa > static_cast<uint8_t>(CfaKind::kExpression) || rule.cfa_register >= kMaxRegisters ||
      flags > (kSignalFrameFlag | kReturnAddressSignedFlag) ||
      (rule.cfa == CfaKind::kExpression && !IsIndex(rule.cfa_offset, set.expressions.size())) ||
      first_other > set.others.size() || other_count > set.others.size() - first_other) {
    reader.Fail();
    return {};
  }
  rule.first_other = static_cast<uint32_t>(first_other);
  rule.other_count = static_cast<uint32_t>(other_count);
  return rule;
}

RuleSet ReadRules(ByteReader& reader) {
  constexpr size_t kSmallestRule = 7 + 2 * kRegisterRuleBytes + 2;
  RuleSet set;
  const size_t expressions = ReadCount(reader, 1, RuleInterner::kMaxExpressions);
  for (size_t i = 0; i < expressions && reader.ok(); ++i) {
    const std::span<const std::byte> bytes =
        reader.Block(ReadCount(reader, 1, RuleInterner::kMaxExpressionBytes));
    set.expressions.emplace_back(bytes.begin(), bytes.end());
  }
  set.others.resize(ReadCount(reader, kRegisterRuleBytes, RuleInterner::kMaxOthers));
  for (RegisterRule& other : set.others) {
    other = ReadRegister(reader, set);
  }
  set.rules.resize(ReadCount(reader, kSmallestRule, RuleInterner::kMaxRules));
  for (UnwindRule& rule : set.rules) {
    rule = ReadRule(reader, set);
  }
  // What Find() gives where there is no rule.
  if (set.rules.empty() || set.rules[0] != UnwindRule{}) {
    reader.Fail();
  }
  return set;
}

std::vector<CfiRow> ReadRows(ByteReader& reader, size_t rule_count) {
  constexpr size_t kSmallestRow = 2;
  std::vector<CfiRow> rows(ReadCount(reader, kSmallestRow, std::numeric_limits<uint32_t>::max()));
  uint64_t pc = 0;
  for (CfiRow& row : rows) {
    const uint64_t distance = reader.Uleb();
    const uint64_t rule = reader.Uleb();
    if (distance > std::numeric_limits<uint32_t>::max() - pc || rule >= rule_count) {
      reader.Fail();
      return {};
    }
    pc += distance;
    row = {.pc = static_cast<uint32_t>(pc), .rule = static_cast<uint32_t>(rule)};
  }
  // From the last row on there is no rule.
  if (rows.empty() || rows.back().rule != 0) {
    reader.Fail();
  }
  return rows;
}

// Magic, version and key in one comparison: they stand at the beginning of what Encode would write.
bool SkipHead(ByteReader& reader, const CfiTableKey& key) {
  Writer expected;
  WriteHead(expected, key, ElfAddress(0));
  expected.out().resize(expected.out().size() - sizeof(uint64_t));  // the base is not known here
  const std::span<const std::byte> head = reader.Block(expected.out().size());
  return reader.ok() && std::string_view(reinterpret_cast<const char*>(head.data()), head.size()) ==
                            expected.out();
}

}  // namespace

std::string EncodeCfiTable(const CfiTable& table, const CfiTableKey& key) {
  Writer writer;
  writer.out().reserve(table.row_count() * 4);
  WriteHead(writer, key, table.base());
  WriteRules(writer, table.rules());
  writer.Uleb(table.row_count());
  uint32_t before = 0;
  for (const CfiRow& row : table.rows()) {
    writer.Uleb(row.pc - before);
    writer.Uleb(row.rule);
    before = row.pc;
  }
  writer.Fixed(ChecksumOf(std::as_bytes(std::span(writer.out()))));
  return std::move(writer.out());
}

std::optional<CfiTable> DecodeCfiTable(std::span<const std::byte> bytes, const CfiTableKey& key) {
  if (bytes.size() < kChecksumBytes) {
    return std::nullopt;
  }
  const std::span<const std::byte> content = bytes.first(bytes.size() - kChecksumBytes);
  ByteReader reader(content);
  if (!SkipHead(reader, key) ||
      ByteReader(bytes.last(kChecksumBytes)).U32() != ChecksumOf(content)) {
    return std::nullopt;
  }
  const ElfAddress base(reader.U64());
  RuleSet rules = ReadRules(reader);
  std::vector<CfiRow> rows = ReadRows(reader, rules.rules.size());
  if (!reader.ok() || !reader.at_end()) {
    return std::nullopt;
  }
  return CfiTable::FromParts(base, std::move(rows), std::move(rules));
}

}  // namespace whyslow
