#include "sampler/unwind/cfi_section.h"

#include <absl/container/flat_hash_map.h>

#include <limits>
#include <string_view>

#include "base/byte_reader.h"
#include "sampler/registers.h"

namespace whyslow {
namespace {

// DW_EH_PE_*: the low four bits are the form, the next three the base, the top one an indirection.
constexpr uint8_t kFormMask = 0x0f;
constexpr uint8_t kBaseMask = 0x70;
constexpr uint8_t kIndirect = 0x80;
constexpr uint8_t kOmit = 0xff;
constexpr uint8_t kPcRelative = 0x10;
constexpr uint8_t kDataRelative = 0x30;

// The largest programs have about a million; bounds what a hostile file can cost.
constexpr size_t kMaxFunctions = size_t{4} << 20;

struct Record {
  size_t start = 0;   // of the length field
  size_t id_at = 0;   // .eh_frame counts back from here
  uint64_t id = 0;    // 0 or all ones: common; else where its common record is
  bool wide = false;  // 64-bit DWARF
  std::span<const std::byte> body;
  size_t body_at = 0;
};

class RecordParser {
 public:
  explicit RecordParser(const CfiSource& source) : source_(source) {}

  CfiRecords Parse() {
    // Twice over the records: .debug_frame may name a common record that comes later.
    ForEach([this](const Record& record) {
      if (IsCommon(record)) {
        ParseCommon(record);
      }
    });
    ForEach([this](const Record& record) {
      if (!IsCommon(record)) {
        ParseFunction(record);
      }
    });
    return std::move(records_);
  }

 private:
  bool is_eh() const { return source_.format == CfiFormat::kEhFrame; }

  template <class Visit>
  void ForEach(Visit visit) const {
    ByteReader cursor(source_.bytes);
    while (!cursor.at_end()) {
      const std::optional<Record> record = Next(cursor);
      if (record) {
        visit(*record);
      } else if (source_.ends_at_zero_record) {
        break;
      }
    }
  }

  // nullopt: a zero record, or one that makes no sense.
  std::optional<Record> Next(ByteReader& cursor) const {
    Record record;
    record.start = cursor.position();
    uint64_t length = cursor.U32();
    if (length == 0) {
      return std::nullopt;
    }
    if (length == 0xffffffff) {
      record.wide = true;
      length = cursor.Fixed<uint64_t>();
    }
    record.id_at = cursor.position();
    ByteReader body(cursor.Block(length));
    // .eh_frame keeps a narrow id even after a wide length.
    record.id = record.wide && !is_eh() ? body.Fixed<uint64_t>() : body.U32();
    if (!cursor.ok() || !body.ok()) {
      return std::nullopt;
    }
    record.body_at = record.id_at + body.position();
    record.body = body.Block(body.remaining());
    return record;
  }

  bool IsCommon(const Record& record) const {
    if (is_eh()) {
      return record.id == 0;
    }
    return record.id == (record.wide ? std::numeric_limits<uint64_t>::max() : 0xffffffff);
  }

  void ParseCommon(const Record& record) {
    ByteReader cursor(record.body);
    CfiCommon common;
    const uint8_t version = cursor.U8();
    if (version != 1 && version != 3 && version != 4) {
      return;
    }
    const std::string_view augmentation = cursor.CString();
    if (version == 4) {
      const uint8_t address_size = cursor.U8();
      const uint8_t segment_size = cursor.U8();
      if (address_size != sizeof(uint64_t) || segment_size != 0) {
        return;
      }
    }
    common.code_align = cursor.Uleb();
    common.data_align = cursor.Sleb();
    const uint64_t return_register = version == 1 ? cursor.U8() : cursor.Uleb();
    if (return_register >= kMaxRegisters || !ParseAugmentation(augmentation, cursor, common)) {
      return;
    }
    common.return_register = static_cast<uint8_t>(return_register);
    common.instructions = cursor.Block(cursor.remaining());
    if (cursor.ok()) {
      common_at_.emplace(record.start, static_cast<uint32_t>(records_.commons.size()));
      records_.commons.push_back(common);
    }
  }

  bool ParseAugmentation(std::string_view augmentation, ByteReader& cursor,
                         CfiCommon& common) const {
    if (augmentation.empty()) {
      return true;
    }
    if (!augmentation.starts_with('z')) {
      return false;  // nobody has written anything else this century
    }
    common.has_augmentation_size = true;
    ByteReader data(cursor.Block(cursor.Uleb()));
    for (const char what : augmentation.substr(1)) {
      switch (what) {
        case 'L':  // how the language-specific data is pointed to; not needed
          data.U8();
          break;
        case 'P': {  // the personality routine; not needed
          const uint8_t encoding = data.U8();
          ReadEncodedPointer(data, encoding, ElfAddress(), ElfAddress());
          break;
        }
        case 'R':
          common.pointer_encoding = data.U8();
          break;
        case 'S':
          common.is_signal_frame = true;
          break;
        default:  // 'B' (a signing key) has no data; what follows an unknown letter is unknown too
          return data.ok();
      }
    }
    return data.ok();
  }

  void ParseFunction(const Record& record) {
    if (records_.functions.size() >= kMaxFunctions) {
      return;
    }
    const uint64_t common_at = is_eh() ? record.id_at - record.id : record.id;
    const auto found = common_at_.find(common_at);
    if (found == common_at_.end()) {
      return;
    }
    const CfiCommon& common = records_.commons[found->second];
    ByteReader cursor(record.body);
    const ElfAddress here = source_.address + record.body_at;
    const std::optional<uint64_t> start =
        ReadEncodedPointer(cursor, common.pointer_encoding, here, source_.data_base);
    const std::optional<uint64_t> size =
        ReadEncodedPointer(cursor, common.pointer_encoding & kFormMask, here, std::nullopt);
    if (common.has_augmentation_size) {
      cursor.Skip(cursor.Uleb());
    }
    if (!start || !size || *size == 0 || *start + *size < *start || !cursor.ok()) {
      return;
    }
    records_.functions.push_back({.start = *start,
                                  .size = *size,
                                  .common = found->second,
                                  .instructions_at = record.body_at + cursor.position(),
                                  .instructions_size = cursor.remaining()});
  }

  const CfiSource& source_;
  CfiRecords records_;
  absl::flat_hash_map<uint64_t, uint32_t> common_at_;
};

std::optional<uint64_t> ReadForm(ByteReader& cursor, uint8_t form) {
  switch (form) {
    case 0x00:  // absptr
    case 0x04:  // udata8
    case 0x08:  // signed, of pointer size
    case 0x0c:  // sdata8
      return cursor.Fixed<uint64_t>();
    case 0x01:
      return cursor.Uleb();
    case 0x02:
      return cursor.Fixed<uint16_t>();
    case 0x03:
      return cursor.Fixed<uint32_t>();
    case 0x09:
      return static_cast<uint64_t>(cursor.Sleb());
    case 0x0a:
      return static_cast<uint64_t>(int64_t{cursor.Fixed<int16_t>()});
    case 0x0b:
      return static_cast<uint64_t>(int64_t{cursor.Fixed<int32_t>()});
    default:
      return std::nullopt;
  }
}

}  // namespace

std::optional<uint64_t> ReadEncodedPointer(ByteReader& cursor, uint8_t encoding,
                                           ElfAddress cursor_start,
                                           std::optional<ElfAddress> data_base) {
  if (encoding == kOmit) {
    return std::nullopt;
  }
  uint64_t base = 0;
  switch (encoding & kBaseMask) {
    case 0:
      break;
    case kPcRelative:
      base = (cursor_start + cursor.position()).value();
      break;
    case kDataRelative:
      if (!data_base) {
        return std::nullopt;
      }
      base = data_base->value();
      break;
    default:  // relative to the text, to the function, or aligned: not seen on our machines
      return std::nullopt;
  }
  const std::optional<uint64_t> value = ReadForm(cursor, encoding & kFormMask);
  if (!value || !cursor.ok() || (encoding & kIndirect) != 0) {
    return std::nullopt;
  }
  return *value + base;
}

CfiRecords ParseCfi(const CfiSource& source) { return RecordParser(source).Parse(); }

}  // namespace whyslow
