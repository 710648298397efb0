#include "sampler/unwind/code_reader.h"

#include <algorithm>
#include <cstring>
#include <string>

namespace whyslow {
namespace {

size_t ReadFromFile(ElfAddress from, const ElfFile& elf, bool code_only, std::span<uint8_t> into) {
  for (const ElfSegment& segment : elf.segments()) {
    const uint64_t offset = from.value() - segment.address.value();
    if (segment.type != PT_LOAD || (code_only && !segment.executable()) || from < segment.address ||
        offset >= segment.file_size) {
      continue;
    }
    const size_t size = std::min<uint64_t>(into.size(), segment.file_size - offset);
    const absl::StatusOr<std::string> bytes = elf.ReadBytes(segment.file_offset + offset, size);
    if (!bytes.ok()) {
      return 0;
    }
    std::memcpy(into.data(), bytes->data(), size);
    return size;
  }
  return 0;
}

size_t ReadModule(RuntimeAddress from, const Mapping* mapping, const TargetMemory& memory,
                  bool code_only, std::span<uint8_t> into) {
  if (mapping != nullptr && mapping->module != nullptr && mapping->module->elf() != nullptr) {
    return ReadFromFile(mapping->ToElf(from), *mapping->module->elf(), code_only, into);
  }
  return memory.Read(from, std::as_writable_bytes(into));
}

}  // namespace

size_t ReadCode(RuntimeAddress from, const Mapping* mapping, const TargetMemory& memory,
                std::span<uint8_t> into) {
  return ReadModule(from, mapping, memory, /*code_only=*/true, into);
}

size_t CodeStream::ReadConstants(uint64_t address, std::span<uint8_t> into) const {
  return ReadModule(RuntimeAddress(address), mapping_, memory_, /*code_only=*/false, into);
}

std::span<const uint8_t> CodeStream::At(uint64_t address) {
  if (address < start_ || address - start_ >= size_ || size_ - (address - start_) < kBytes) {
    start_ = address;
    size_ = 0;
    if (IsCode(address)) {
      size_ = ReadCode(RuntimeAddress(address), mapping_, memory_, bytes_);
    }
  }
  const size_t skip = address - start_;
  return std::span<const uint8_t>(bytes_).subspan(skip, std::min(kBytes, size_ - skip));
}

CodeWindow CodeWindow::Read(RuntimeAddress at, const Mapping* mapping, const TargetMemory& memory) {
  CodeWindow window;
  const std::span<uint8_t> all(window.bytes_);
  uint64_t before = std::min<uint64_t>(kBefore, at.value());
  if (mapping != nullptr && mapping->Contains(at)) {
    before = std::min(before, at - mapping->start);
  }
  const size_t got = ReadCode(at - before, mapping, memory, all.subspan(kBefore - before));
  if (got >= before) {
    window.before_ = before;
    window.after_ = got - before;
  } else {
    window.after_ = ReadCode(at, mapping, memory, all.subspan(kBefore));
  }
  return window;
}

CodeWindow CodeWindow::FromBytes(std::span<const uint8_t> bytes, size_t at) {
  CodeWindow window;
  window.before_ = std::min(kBefore, at);
  window.after_ = std::min(kAfter, bytes.size() - at);
  std::ranges::copy(bytes.subspan(at - window.before_, window.before_ + window.after_),
                    window.bytes_.begin() + static_cast<ptrdiff_t>(kBefore - window.before_));
  return window;
}

bool CodeWindow::HasBytes(int offset, std::span<const uint8_t> wanted) const {
  return Known(offset, wanted.size()) &&
         std::memcmp(bytes_.data() + Index(offset), wanted.data(), wanted.size()) == 0;
}

uint32_t CodeWindow::Word(int offset) const {
  uint32_t word = 0;
  if (Known(offset, sizeof(word))) {
    std::memcpy(&word, bytes_.data() + Index(offset), sizeof(word));
  }
  return word;
}

}  // namespace whyslow
