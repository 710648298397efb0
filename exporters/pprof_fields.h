// The top level of a protobuf message as a list of fields, read where they lie; and written so.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace whyslow {

struct ProtoField {
  uint32_t number = 0;
  bool is_varint = false;
  bool is_message = false;   // length-delimited: `payload` is its content
  std::string_view payload;  // empty for numbers
  std::string_view raw;      // the whole field, its tag included
};

// Large profiles are walked more than once (tables first, samples last) without a copy in between.
class ProtoFieldReader {
 public:
  explicit ProtoFieldReader(std::string_view message) : rest_(message) {}

  // nullopt at the end and at the first damaged field: then damaged() tells.
  std::optional<ProtoField> Next();
  bool damaged() const { return damaged_; }

 private:
  std::optional<uint64_t> TakeVarint();
  bool SkipValue(uint64_t wire_type, ProtoField& field);

  std::string_view rest_;
  bool damaged_ = false;
};

// What stands in front of a length-delimited field's `size` bytes: its tag and its length.
void AppendProtoPrefix(uint32_t field, size_t size, std::string& out);

}  // namespace whyslow
