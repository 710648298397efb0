// Whatever a file of the unwind table cache holds: it is refused, or it is a table in which every
// index leads somewhere. The checksum is made right, since it would stop nearly every input.
#include <zlib.h>

#include <cstdint>
#include <span>
#include <string>

#include "base/status.h"
#include "sampler/registers.h"
#include "sampler/unwind/cfi_table_codec.h"

namespace whyslow {
namespace {

void CheckRegister(const RegisterRule& rule, const RuleSet& set) {
  WHYSLOW_CHECK(rule.number < kMaxRegisters && rule.source < kMaxRegisters);
  if (rule.how == Recovery::kExpression || rule.how == Recovery::kAtExpression) {
    WHYSLOW_CHECK(rule.offset >= 0 && static_cast<size_t>(rule.offset) < set.expressions.size());
  }
}

void CheckTable(const CfiTable& table) {
  const RuleSet& set = table.rules();
  uint32_t before = 0;
  for (const CfiRow& row : table.rows()) {
    WHYSLOW_CHECK(row.pc >= before && row.rule < set.rules.size());
    before = row.pc;
    WHYSLOW_CHECK(&table.Find(table.base() + row.pc) < set.rules.data() + set.rules.size());
  }
  for (const UnwindRule& rule : set.rules) {
    WHYSLOW_CHECK(size_t{rule.first_other} + rule.other_count <= set.others.size());
    if (rule.cfa == CfaKind::kExpression) {
      WHYSLOW_CHECK(static_cast<size_t>(rule.cfa_offset) < set.expressions.size());
    }
    CheckRegister(rule.return_address, set);
    CheckRegister(rule.frame_pointer, set);
    for (const RegisterRule& other : set.OthersOf(rule)) {
      CheckRegister(other, set);
    }
  }
}

std::span<const std::byte> BytesOf(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// The input stands behind the head that an empty table has.
void Run(const uint8_t* data, size_t size) {
  const CfiTableKey key{.build_id = "00112233445566778899"};
  const CfiTable empty =
      CfiTable::FromSources({}, Architecture::kX86_64, ElfAddress(0), ElfAddress(0));
  std::string bytes = EncodeCfiTable(empty, key);
  constexpr size_t kHeadBytes = 8 + 4 + 1 + 20 + 8 + 4 + 2;
  bytes.resize(kHeadBytes);
  bytes.append(reinterpret_cast<const char*>(data), size);
  const auto sum = static_cast<uint32_t>(
      crc32_z(0, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()));
  for (int i = 0; i < 4; ++i) {
    bytes.push_back(static_cast<char>(sum >> (8 * i)));
  }
  if (const std::optional<CfiTable> table = DecodeCfiTable(BytesOf(bytes), key)) {
    CheckTable(*table);
    const std::string again = EncodeCfiTable(*table, key);
    const std::optional<CfiTable> same = DecodeCfiTable(BytesOf(again), key);
    WHYSLOW_CHECK(same && same->row_count() == table->row_count());
  }
}

}  // namespace
}  // namespace whyslow

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  whyslow::Run(data, size);
  return 0;
}
