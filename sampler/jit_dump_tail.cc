// The layout: tools/perf/Documentation/jitdump-specification.txt in the sources of Linux; of the
// unwind data .eh_frame comes first, whatever the text says (tools/perf/util/genelf.c).
#include "sampler/jit_dump_tail.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/byte_reader.h"

namespace whyslow {
namespace {

constexpr uint32_t kMagic = 0x4A695444;  // "JiTD"
constexpr uint64_t kHeaderStart = 12;    // magic, version, size
constexpr uint64_t kPrefix = 16;         // the fields that all records begin with
constexpr uint64_t kLoadFields = 40;
constexpr uint64_t kMoveFields = 48;
constexpr uint64_t kUnwindFields = 24;
constexpr size_t kBufferBytes = size_t{256} << 10;
static_assert(kBufferBytes > 2 * JitUnwindTable::kMaxCfiOfFunction);

enum class Record : uint32_t { kCodeLoad = 0, kCodeMove = 1, kUnwindingInfo = 4 };

// How much of a record's body has to be seen; the code itself is of no interest.
uint64_t WantedBytes(Record type, uint64_t body_size) {
  switch (type) {
    case Record::kCodeLoad:
      return std::min(body_size, kLoadFields);
    case Record::kCodeMove:
      return std::min(body_size, kMoveFields);
    case Record::kUnwindingInfo:
      return std::min<uint64_t>(body_size, kUnwindFields + 2 * JitUnwindTable::kMaxCfiOfFunction);
  }
  return 0;
}

void ApplyLoad(ByteReader body, std::string eh_frame, JitUnwindTable& table) {
  body.Skip(2 * sizeof(uint32_t) + sizeof(uint64_t));  // process, thread, address in the file
  const uint64_t start = body.U64(), size = body.U64(), index = body.U64();
  if (body.ok()) {
    table.Load(RuntimeAddress(start), size, index, std::move(eh_frame));
  }
}

void ApplyMove(ByteReader body, JitUnwindTable& table) {
  body.Skip(2 * sizeof(uint32_t) + 2 * sizeof(uint64_t));  // ..., and where it was
  const uint64_t to = body.U64();
  body.U64();  // the size is what it was
  const uint64_t index = body.U64();
  if (body.ok()) {
    table.Move(index, RuntimeAddress(to));
  }
}

// Empty where there is only an index, which says that the code keeps frame pointers.
std::string EhFrameIn(ByteReader body) {
  const uint64_t size = body.U64(), index_size = body.U64();
  body.U64();  // how much of it the process has in its memory
  if (!body.ok() || index_size > size || size > body.remaining()) {
    return {};
  }
  const std::span<const std::byte> bytes = body.Block(size - index_size);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

bool JitDumpTail::ReadHeader(std::span<const std::byte> bytes) {
  ByteReader reader(bytes);
  const uint32_t magic = reader.U32();
  reader.U32();  // version: nothing that is read here has changed
  const uint32_t size = reader.U32();
  if (!reader.ok() || magic != kMagic || size < kHeaderStart) {
    return false;
  }
  position_ = size;
  return true;
}

bool JitDumpTail::ReadPiece(int fd, uint64_t file_size, JitUnwindTable& table) {
  buffer_.resize(kBufferBytes);
  const ssize_t got = pread(fd, buffer_.data(), buffer_.size(), static_cast<off_t>(position_));
  if (got <= 0) {
    return got < 0 && errno == EINTR;
  }
  const std::span<const std::byte> bytes = std::span(buffer_).first(static_cast<size_t>(got));
  if (position_ == 0) {
    return ReadHeader(bytes);
  }
  const uint64_t begin = position_;
  while (position_ - begin + kPrefix <= bytes.size()) {
    ByteReader reader(bytes, position_ - begin);
    const auto type = static_cast<Record>(reader.U32());
    const uint64_t size = reader.U32();
    reader.U64();  // time
    // Not written yet, or in part.
    if (size < kPrefix || size > file_size - position_) {
      return false;
    }
    const uint64_t wanted = WantedBytes(type, size - kPrefix);
    if (wanted > reader.remaining()) {
      return position_ != begin;  // a buffer holds any record, from its beginning
    }
    const ByteReader body(reader.Block(wanted));
    if (type == Record::kCodeLoad) {
      ApplyLoad(body, std::exchange(eh_frame_, {}), table);
    } else if (type == Record::kCodeMove) {
      ApplyMove(body, table);
    } else if (type == Record::kUnwindingInfo) {
      eh_frame_ = EhFrameIn(body);
    }
    position_ += size;
  }
  return position_ != begin && position_ < file_size;
}

void JitDumpTail::Follow(int fd, JitUnwindTable& table) {
  struct stat info {};
  if (fstat(fd, &info) != 0) {
    return;
  }
  const auto file_size = static_cast<uint64_t>(info.st_size);
  if (file_size < position_) {
    position_ = 0;
    eh_frame_.clear();
    table.Clear();
  }
  for (uint64_t budget = kBytesPerCall; position_ < file_size && budget > 0;
       budget -= kBufferBytes) {
    if (!ReadPiece(fd, file_size, table)) {
      break;
    }
  }
  buffer_ = {};
}

}  // namespace whyslow
