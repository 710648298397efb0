// The memory of a CPython of any version, made by hand: objects, code, frames, threads.
#pragma once

#include <algorithm>
#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sampler/python/python_layout.h"
#include "sampler/target/target_memory.h"

namespace whyslow {

// Bytes at addresses; between them nothing can be read.
class FakeMemory final : public TargetMemory {
 public:
  void Put(uint64_t at, const void* bytes, size_t size) {
    for (size_t i = 0; i < size; ++i) {
      Set(at + i, static_cast<const std::byte*>(bytes)[i]);
    }
  }
  template <class T>
  void PutValue(uint64_t at, T value) {
    Put(at, &value, sizeof(value));
  }
  void Zero(uint64_t at, size_t size) {
    for (size_t i = 0; i < size; ++i) {
      Set(at + i, std::byte{0});
    }
  }
  void Clear() { pages_.clear(); }

  size_t Read(RuntimeAddress from, std::span<std::byte> into) const override {
    size_t done = 0;
    while (done < into.size()) {
      const uint64_t at = from.value() + done;
      const auto page = pages_.find(at / kPage);
      if (page == pages_.end()) {
        return done;
      }
      const uint64_t from_byte = at % kPage;
      const size_t size = std::min<size_t>(into.size() - done, kPage - from_byte);
      if (page->second.is_there.all()) {
        std::memcpy(into.data() + done, page->second.bytes.data() + from_byte, size);
        done += size;
        continue;
      }
      for (uint64_t i = from_byte; i < from_byte + size; ++i) {
        if (!page->second.is_there[i]) {
          return done;
        }
        into[done++] = page->second.bytes[i];
      }
    }
    return done;
  }

 private:
  static constexpr uint64_t kPage = 4096;
  struct Page {
    std::array<std::byte, kPage> bytes;
    std::bitset<kPage> is_there;
  };

  void Set(uint64_t at, std::byte value) {
    Page& page = pages_[at / kPage];
    page.bytes[at % kPage] = value;
    page.is_there.set(at % kPage);
  }

  std::unordered_map<uint64_t, Page> pages_;
};

// The table at _PyRuntime of CPython 3.14 with the offsets of a real one.
inline std::vector<std::byte> DebugOffsets314(uint32_t version = 0x030e0af0) {
  std::vector<uint64_t> words(kPythonDebugOffsetsSize / 8);
  std::memcpy(words.data(), "xdebugpy", 8);
  words[1] = version;
  const std::map<size_t, uint64_t> offsets = {
      {5, 808},  {8, 7272}, {9, 7344}, {24, 8},  {25, 16}, {26, 72},  {27, 152}, {28, 160},
      {32, 8},   {33, 0},   {34, 56},  {35, 80}, {36, 74}, {40, 112}, {41, 120}, {42, 128},
      {43, 136}, {44, 68},  {48, 208}, {51, 8},  {53, 24}, {55, 168}, {67, 32},  {68, 40},
      {75, 16},  {76, 32},  {78, 32},  {79, 16}, {80, 40}};
  for (const auto& [index, offset] : offsets) {
    words[index] = offset;
  }
  std::vector<std::byte> bytes(kPythonDebugOffsetsSize);
  std::memcpy(bytes.data(), words.data(), bytes.size());
  return bytes;
}

struct FakeCode {
  std::string name = "function";
  std::string qualified_name = "Class.function";
  std::string file = "/file.py";
  int32_t first_line = 10;
  std::string line_table;
  uint64_t units = 100;  // instructions
};

class FakePython {
 public:
  explicit FakePython(PythonLayout chosen) : layout(chosen) {
    layout.walk.interpreters = Allocate(8);
    text_type = AddType("str");
    code_type = AddType("code");
  }

  static FakePython OfVersion(uint32_t version) {
    const std::vector<std::byte> table = DebugOffsets314();
    return FakePython(*PythonLayoutOf(version, (version >> 16) >= 0x030d
                                                   ? std::span<const std::byte>(table)
                                                   : std::span<const std::byte>()));
  }

  FakeMemory memory;
  PythonLayout layout;
  uint64_t text_type = 0;
  uint64_t code_type = 0;

  // Zeros that can be read, with room around them that cannot.
  uint64_t Allocate(size_t size) {
    const uint64_t at = next_;
    memory.Zero(at, size);
    next_ = (at + size + 0x100) / 16 * 16;
    return at;
  }

  uint64_t AddType(std::string_view name) {
    const uint64_t text = Allocate(name.size() + 1);
    memory.Put(text, name.data(), name.size());
    const uint64_t type = Allocate(1024);
    memory.PutValue(type + layout.type_name, text);
    return type;
  }

  uint64_t AddText(std::string_view ascii) {
    const uint64_t text = Allocate(layout.text_ascii_size + ascii.size());
    SetText(text, ascii.size(), /*state=*/1U << 2 | 1U << 5 | 1U << 6);
    memory.Put(text + layout.text_ascii_size, ascii.data(), ascii.size());
    return text;
  }

  template <class Character>
  uint64_t AddWideText(const std::vector<Character>& characters) {
    const size_t size = characters.size() * sizeof(Character);
    const uint64_t text = Allocate(layout.text_compact_size + size);
    SetText(text, characters.size(), uint32_t{sizeof(Character)} << 2 | 1U << 5);
    memory.Put(text + layout.text_compact_size, characters.data(), size);
    return text;
  }

  uint64_t AddBytes(std::string_view data) {
    const uint64_t bytes = Allocate(layout.bytes_data + data.size() + 1);
    memory.PutValue(bytes + layout.object_size, uint64_t{data.size()});
    memory.Put(bytes + layout.bytes_data, data.data(), data.size());
    return bytes;
  }

  uint64_t AddCode(const FakeCode& code) {
    const bool holds_instructions = layout.has_addressed_instructions();
    const uint64_t at =
        Allocate(holds_instructions ? layout.code_instructions + 2 * code.units : 176);
    SetCode(at, code);
    return at;
  }

  void SetCode(uint64_t at, const FakeCode& code) {
    memory.PutValue(at + layout.object_type, code_type);
    memory.PutValue(at + layout.walk.code_begin, code.first_line);
    memory.PutValue(at + layout.code_file, AddText(code.file));
    memory.PutValue(at + layout.code_name, AddText(code.name));
    memory.PutValue(at + layout.code_line_table, AddBytes(code.line_table));
    if (layout.has_addressed_instructions()) {
      memory.PutValue(at + layout.code_qualified_name, AddText(code.qualified_name));
      memory.PutValue(at + layout.object_size, code.units);
    } else {
      memory.PutValue(at + layout.code_instructions, AddBytes(std::string(2 * code.units, 'x')));
    }
  }

  uint32_t CheckOf(uint64_t code) const {
    return python_check(*memory.ReadValue<uint32_t>(RuntimeAddress(code + layout.walk.code_begin)),
                        *memory.ReadValue<uint64_t>(RuntimeAddress(code + layout.code_file)),
                        *memory.ReadValue<uint64_t>(RuntimeAddress(code + layout.code_name)));
  }

  // What a frame at the instruction of this number has.
  uint64_t Instruction(uint64_t code, int64_t number) const {
    if (layout.has_addressed_instructions()) {
      return code + layout.code_instructions + static_cast<uint64_t>(2 * number);
    }
    const int64_t stands =
        layout.line_table == LineTableKind::kRanges || number < 0 ? number : 2 * number;
    return static_cast<uint32_t>(static_cast<int32_t>(stands));
  }

  python_raw_frame RawFrame(uint64_t code, int64_t number) const {
    return {.code = code,
            .instruction = Instruction(code, number),
            .check = CheckOf(code),
            .is_entry = 0};
  }

  // `entry`: the byte that tells entries.
  uint64_t AddFrame(uint64_t code, uint64_t previous, uint8_t entry = 0) {
    const uint64_t frame = Allocate(512);
    memory.PutValue(frame + layout.walk.frame_previous, previous);
    memory.PutValue(frame + layout.walk.frame_code, code);
    if (layout.has_addressed_instructions()) {
      memory.PutValue(frame + layout.walk.frame_instruction, Instruction(code, 1));
    } else {
      memory.PutValue(frame + layout.walk.frame_instruction, uint32_t{2});
    }
    if (layout.walk.entries != PYTHON_ENTRY_ALL) {
      memory.PutValue(frame + layout.walk.frame_entry, entry);
    }
    return frame;
  }

  uint64_t AddInterpreter() {
    const uint64_t interpreter =
        Allocate(std::max(layout.walk.interpreter_next, layout.walk.interpreter_threads) + 8);
    Link(layout.walk.interpreters, layout.walk.interpreter_next, interpreter);
    return interpreter;
  }

  uint64_t AddThread(uint64_t interpreter, uint64_t pthread, uint64_t frame, uint64_t tid = 0) {
    const uint64_t thread = Allocate(400);
    memory.PutValue(thread + layout.walk.thread_id, pthread);
    memory.PutValue(thread + layout.thread_interpreter, interpreter);
    if (layout.thread_native_id != PYTHON_NO_OFFSET) {
      memory.PutValue(thread + layout.thread_native_id, tid);
    }
    if (layout.walk.cframe_frame != PYTHON_NO_OFFSET) {
      memory.PutValue(thread + layout.walk.thread_frame, Allocate(16));
    }
    SetFrame(thread, frame);
    Link(interpreter + layout.walk.interpreter_threads, layout.walk.thread_next, thread);
    return thread;
  }

  void SetFrame(uint64_t thread, uint64_t frame) {
    uint64_t at = thread + layout.walk.thread_frame;
    if (layout.walk.cframe_frame != PYTHON_NO_OFFSET) {
      at = *memory.ReadValue<uint64_t>(RuntimeAddress(at)) + layout.walk.cframe_frame;
    }
    memory.PutValue(at, frame);
  }

 private:
  void SetText(uint64_t text, uint64_t length, uint32_t state) {
    memory.PutValue(text + layout.object_type, text_type);
    memory.PutValue(text + layout.text_length, length);
    memory.PutValue(text + layout.text_state, state);
  }

  // Puts `node` first into the list whose head is at `head`.
  void Link(uint64_t head, uint64_t next_offset, uint64_t node) {
    memory.PutValue(node + next_offset, *memory.ReadValue<uint64_t>(RuntimeAddress(head)));
    memory.PutValue(head, node);
  }

  uint64_t next_ = 0x10000;
};

}  // namespace whyslow
