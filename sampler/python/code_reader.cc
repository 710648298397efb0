#include "sampler/python/code_reader.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string>

#include "base/byte_reader.h"

namespace whyslow {
namespace {

constexpr size_t kMostMemory = size_t{64} << 20;
constexpr size_t kMostRead = 512;                   // of a code object
constexpr uint64_t kMostTable = uint64_t{1} << 20;  // bytes of a line table

}  // namespace

std::optional<PythonCodeReader::Parts> PythonCodeReader::ReadParts(RuntimeAddress code) const {
  const PythonLayout& layout = objects_->layout();
  const python_walk_layout& walk = layout.walk;
  const bool has_qualified = layout.code_qualified_name != PYTHON_NO_OFFSET;
  const uint16_t name = has_qualified ? layout.code_qualified_name : layout.code_name;
  const size_t size =
      size_t{std::max({name, layout.code_name, layout.code_file, layout.code_line_table})} + 8;
  std::array<std::byte, kMostRead> buffer;
  if (size > buffer.size()) {
    return std::nullopt;
  }
  const std::span<std::byte> bytes = std::span(buffer).first(size);
  if (objects_->memory().Read(code, bytes) != size) {
    return std::nullopt;
  }
  const auto word = [&bytes](uint64_t offset) { return ByteReader(bytes, offset).U64(); };
  const uint32_t first_line = ByteReader(bytes, walk.code_begin).U32();
  return Parts{.check = python_check(first_line, word(layout.code_file), word(layout.code_name)),
               .first_line = static_cast<int32_t>(first_line),
               .file = RuntimeAddress(word(layout.code_file)),
               .name = RuntimeAddress(word(name)),
               .line_table = RuntimeAddress(word(layout.code_line_table))};
}

std::optional<PythonCodeReader::Code> PythonCodeReader::ReadCode(RuntimeAddress code,
                                                                 uint32_t check) {
  const std::optional<Parts> parts = ReadParts(code);
  if (!parts || parts->check != check) {
    return std::nullopt;
  }
  const std::optional<std::string> name = objects_->ReadText(parts->name);
  const std::optional<std::string> file = objects_->ReadText(parts->file);
  if (!name || !file) {
    return std::nullopt;
  }
  if (tables_left_ < kMostTable) {
    return std::nullopt;
  }
  const std::optional<std::string> lines = objects_->ReadBytes(parts->line_table, kMostTable);
  tables_left_ -= lines ? lines->size() : 0;
  // The target goes on while it is read: what the names were read by must still be so.
  if (ReadParts(code) != parts) {
    return std::nullopt;
  }
  return Code{.function = std::make_shared<const PythonFunction>(
                  PythonFunction{.name = *name, .file = *file, .first_line = parts->first_line}),
              .lines = PythonLineTable(objects_->layout().line_table, lines.value_or(""),
                                       parts->first_line)};
}

int64_t PythonCodeReader::OffsetOf(const python_raw_frame& frame) const {
  const PythonLayout& layout = objects_->layout();
  if (layout.has_addressed_instructions()) {
    return static_cast<int64_t>(frame.instruction - frame.code - layout.code_instructions);
  }
  const int64_t number = static_cast<int32_t>(frame.instruction);
  return layout.line_table == LineTableKind::kRanges ? number * 2 : number;
}

PythonFrame PythonCodeReader::Read(const python_raw_frame& frame) {
  PythonFrame result{.is_entry = frame.is_entry != 0};
  const std::pair key(frame.code, frame.check);
  auto found = codes_.find(key);
  if (found == codes_.end()) {
    std::optional<Code> code = ReadCode(RuntimeAddress(frame.code), frame.check);
    if (!code) {
      return result;
    }
    const size_t size = sizeof(Code) + code->function->name.size() + code->function->file.size() +
                        code->lines.MemoryBytes() + 128;
    if (memory_bytes_ + size > kMostMemory) {
      codes_.clear();
      memory_bytes_ = 0;
    }
    memory_bytes_ += size;
    found = codes_.emplace(key, *std::move(code)).first;
  }
  result.function = found->second.function;
  result.line = found->second.lines.LineAt(OffsetOf(frame));
  return result;
}

}  // namespace whyslow
