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

enum class Record : uint32_t { kCodeLoad = 0, kCodeMove = 1, kDebugInfo = 2 };

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
      piece.lines = std::move(lines->second);
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
    auto lines = std::make_shared<std::vector<JitLine>>();
    std::string_view file;
    for (uint64_t i = 0; i < count && body.ok(); ++i) {
      JitLine line{.address = body.U64(), .line = body.Fixed<int32_t>()};
      body.U32();  // discriminator
      const std::string_view name = body.CString().substr(0, kMaxName);
      file = name == "\xff" ? file : name;  // the same as before
      line.file = file;
      if (body.ok()) {
        lines->push_back(line);
      }
    }
    std::ranges::stable_sort(*lines, {}, &JitLine::address);
    lines_[start] = std::move(lines);
  }

  std::vector<JitCode> code_;
  absl::flat_hash_map<uint64_t, size_t> by_index_;  // the newest place of a piece
  // By the start of their code, which comes later.
  absl::flat_hash_map<uint64_t, std::shared_ptr<const std::vector<JitLine>>> lines_;
};

}  // namespace

std::vector<JitCode> ReadJitDump(std::span<const std::byte> dump) {
  return DumpReader().Read(dump);
}

}  // namespace whyslow
