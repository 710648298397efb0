// The layout: tools/perf/Documentation/jitdump-specification.txt in the sources of Linux.
#include "symbolizer/jit_dump.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <memory>
#include <string_view>
#include <utility>

#include "base/byte_reader.h"

namespace whyslow {
namespace {

constexpr uint32_t kMagic = 0x4A695444;  // "JiTD"
constexpr size_t kMaxName = 4096;
constexpr uint64_t kLineFields = 16;  // of a line, before its file's name
constexpr uint64_t kAlignment = 8;    // of records: the most that follows the last field is 7 bytes

enum class Record : uint32_t { kCodeLoad = 0, kCodeMove = 1, kDebugInfo = 2 };

// "JS:*inner /srv/app.js:2:18" -> "/srv/app.js"
std::string_view FileOfV8(std::string_view name) {
  const size_t space = name.find(' ');
  const size_t column = name.rfind(':');
  const size_t line = column == 0 ? name.npos : name.rfind(':', column - 1);
  if (space == name.npos || line == name.npos || column == name.npos || line <= space + 1) {
    return {};
  }
  return name.substr(space + 1, line - space - 1);
}

class DumpReader {
 public:
  std::vector<JitCode> Read(std::span<const std::byte> dump) {
    ByteReader reader(dump);
    const uint32_t magic = reader.U32();
    reader.U32();  // version: nothing that is read here has changed
    const uint32_t header_size = reader.U32();
    reader.Seek(header_size);
    if (magic != kMagic) {
      return {};
    }
    while (reader.ok() && !reader.at_end()) {
      constexpr uint32_t kPrefix = 16;  // the fields that all records begin with
      const auto type = static_cast<Record>(reader.U32());
      const uint32_t size = reader.U32();
      reader.U64();  // time
      if (size < kPrefix || size - kPrefix > reader.remaining()) {
        break;
      }
      Apply(type, ByteReader(reader.Block(size - kPrefix)));
    }
    return std::move(code_);
  }

 private:
  void Apply(Record type, ByteReader body) {
    switch (type) {
      case Record::kCodeLoad:
        return Load(body);
      case Record::kCodeMove:
        return Move(body);
      case Record::kDebugInfo:
        return Lines(body);
    }
    // Anything else says nothing about names.
  }

  void Load(ByteReader body) {
    body.Skip(2 * sizeof(uint32_t) + sizeof(uint64_t));  // process, thread, address in the file
    JitCode piece{.start = body.U64(), .size = body.U64()};
    const uint64_t index = body.U64();
    piece.name = body.CString().substr(0, kMaxName);
    if (!body.ok() || piece.size == 0) {
      return;
    }
    // Lines come before the code that they are for.
    if (const auto lines = lines_.find(piece.start); lines != lines_.end()) {
      piece.lines = NamedLines(std::move(lines->second), piece);
      lines_.erase(lines);
    }
    by_index_[index] = code_.size();
    code_.push_back(std::move(piece));
  }

  void Move(ByteReader body) {
    body.Skip(2 * sizeof(uint32_t) + sizeof(uint64_t));
    const uint64_t from = body.U64(), to = body.U64(), size = body.U64(), index = body.U64();
    const auto known = by_index_.find(index);
    if (!body.ok() || known == by_index_.end()) {
      return;
    }
    JitCode piece = code_[known->second];
    piece.start = to;
    piece.size = size;
    piece.moved += to - from;
    known->second = code_.size();
    code_.push_back(std::move(piece));
  }

  void Lines(ByteReader body) {
    const uint64_t start = body.U64(), count = body.U64();
    auto lines = LinesOf(body, count);
    if (lines.empty()) {
      lines = LinesWithoutNames(body, count);
    }
    std::ranges::stable_sort(lines, {}, &JitLine::address);
    lines_[start] = std::move(lines);
  }

  // Empty when the fields do not fill the record.
  static std::vector<JitLine> LinesOf(ByteReader body, uint64_t count) {
    std::vector<JitLine> lines;
    std::string_view file;
    for (uint64_t i = 0; i < count && body.ok(); ++i) {
      JitLine line = LineAt(body);
      const std::string_view name = body.CString().substr(0, kMaxName);
      file = name == "\xff" ? file : name;  // the same as before
      line.file = file;
      lines.push_back(line);
    }
    return body.ok() && body.remaining() < kAlignment ? lines : std::vector<JitLine>();
  }

  // V8 (seen in node 20) may have freed the file's name when it writes it: the first bytes, a zero
  // among them, are anything. But each line has the same bytes, which tells the size of one.
  static std::vector<JitLine> LinesWithoutNames(ByteReader body, uint64_t count) {
    const uint64_t space = body.remaining();
    for (uint64_t fill = 0; count != 0 && fill < kAlignment && fill < space; ++fill) {
      const uint64_t size = (space - fill) / count;
      if (size <= kLineFields || size * count != space - fill) {
        continue;
      }
      std::vector<JitLine> lines = LinesOfSize(body, size, count);
      if (!lines.empty()) {
        return lines;
      }
    }
    return {};
  }

  // Empty when the lines have not all the same name.
  static std::vector<JitLine> LinesOfSize(ByteReader body, uint64_t size, uint64_t count) {
    std::vector<JitLine> lines;
    std::span<const std::byte> name;
    for (uint64_t i = 0; i < count; ++i) {
      ByteReader fields(body.Block(size));
      lines.push_back(LineAt(fields));
      const auto bytes = fields.Block(fields.remaining());
      name = i == 0 ? bytes : name;
      if (bytes.empty() || bytes.back() != std::byte{0} || !std::ranges::equal(bytes, name)) {
        return {};
      }
    }
    return lines;
  }

  static JitLine LineAt(ByteReader& body) {
    const JitLine line{.address = body.U64(), .line = body.Fixed<int32_t>()};
    body.U32();  // discriminator
    return line;
  }

  // Lines without names get that of the code, which V8 writes "JS:*name /path/file.js:2:18". Null
  // when there is no such name or when the lines are not of this code.
  static std::shared_ptr<const std::vector<JitLine>> NamedLines(std::vector<JitLine> lines,
                                                                const JitCode& code) {
    const std::string_view file = FileOfV8(code.name);
    for (JitLine& line : lines) {
      if (line.file.empty()) {
        line.file = file;
      }
      if (line.file.empty() || line.address < code.start || line.address - code.start > code.size) {
        return nullptr;
      }
    }
    return std::make_shared<const std::vector<JitLine>>(std::move(lines));
  }

  std::vector<JitCode> code_;
  absl::flat_hash_map<uint64_t, size_t> by_index_;  // the newest place of a piece
  // By the start of their code, which comes later.
  absl::flat_hash_map<uint64_t, std::vector<JitLine>> lines_;
};

}  // namespace

std::vector<JitCode> ReadJitDump(std::span<const std::byte> dump) {
  return DumpReader().Read(dump);
}

}  // namespace whyslow
