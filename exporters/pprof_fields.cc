#include "exporters/pprof_fields.h"

namespace whyslow {
namespace {

// The encoding's names for what a tag announces. Groups (3 and 4) were gone before profiles came.
constexpr uint64_t kVarint = 0;
constexpr uint64_t kFixed64 = 1;
constexpr uint64_t kLengthDelimited = 2;
constexpr uint64_t kFixed32 = 5;

constexpr uint64_t kMostFieldNumber = (uint64_t{1} << 29) - 1;
constexpr unsigned kMostVarintBits = 63;

void AppendVarint(uint64_t value, std::string& out) {
  for (; value >= 0x80; value >>= 7) {
    out.push_back(static_cast<char>((value & 0x7F) | 0x80));
  }
  out.push_back(static_cast<char>(value));
}

}  // namespace

std::optional<uint64_t> ProtoFieldReader::TakeVarint() {
  uint64_t value = 0;
  for (unsigned shift = 0; shift <= kMostVarintBits && !rest_.empty(); shift += 7) {
    const auto byte = static_cast<uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    value |= uint64_t{byte & 0x7FU} << shift;
    if (byte < 0x80) {
      return value;
    }
  }
  return std::nullopt;
}

bool ProtoFieldReader::SkipValue(uint64_t wire_type, ProtoField& field) {
  uint64_t bytes = 0;
  field.is_varint = wire_type == kVarint;
  switch (wire_type) {
    case kVarint:
      return TakeVarint().has_value();
    case kFixed64:
      bytes = 8;
      break;
    case kFixed32:
      bytes = 4;
      break;
    case kLengthDelimited: {
      const std::optional<uint64_t> length = TakeVarint();
      if (!length) {
        return false;
      }
      bytes = *length;
      break;
    }
    default:
      return false;
  }
  if (bytes > rest_.size()) {
    return false;
  }
  field.is_message = wire_type == kLengthDelimited;
  if (field.is_message) {
    field.payload = rest_.substr(0, bytes);
  }
  rest_.remove_prefix(bytes);
  return true;
}

std::optional<ProtoField> ProtoFieldReader::Next() {
  if (rest_.empty() || damaged_) {
    return std::nullopt;
  }
  const std::string_view begin = rest_;
  ProtoField field;
  const std::optional<uint64_t> tag = TakeVarint();
  const uint64_t number = tag.value_or(0) >> 3;
  if (number == 0 || number > kMostFieldNumber || !SkipValue(*tag & 7, field)) {
    damaged_ = true;
    return std::nullopt;
  }
  field.number = static_cast<uint32_t>(number);
  field.raw = begin.substr(0, begin.size() - rest_.size());
  return field;
}

void AppendProtoPrefix(uint32_t field, size_t size, std::string& out) {
  AppendVarint(uint64_t{field} << 3 | kLengthDelimited, out);
  AppendVarint(size, out);
}

}  // namespace whyslow
