#include "sampler/python/python_layout.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <cstring>

#include "base/byte_reader.h"
#include "base/status.h"

namespace whyslow {
namespace {

// Which word of the table at _PyRuntime (_Py_DebugOffsets) tells what. Words were put between
// others with each version, so the version selects the places.
struct OffsetWords {
  uint8_t interpreter_next;
  uint8_t thread_next;
  uint8_t thread_frame;
  uint8_t thread_id;
  uint8_t frame_previous;
  uint8_t code_file;
  uint8_t object_type;
  uint8_t type_name;
  uint8_t dict_keys;
  uint8_t bytes_size;
  uint8_t text_state;
};

constexpr OffsetWords kWords313 = {.interpreter_next = 8,
                                   .thread_next = 21,
                                   .thread_frame = 23,
                                   .thread_id = 24,
                                   .frame_previous = 29,
                                   .code_file = 35,
                                   .object_type = 45,
                                   .type_name = 47,
                                   .dict_keys = 57,
                                   .bytes_size = 65,
                                   .text_state = 68};
constexpr OffsetWords kWords314 = {.interpreter_next = 8,
                                   .thread_next = 24,
                                   .thread_frame = 26,
                                   .thread_id = 27,
                                   .frame_previous = 32,
                                   .code_file = 40,
                                   .object_type = 51,
                                   .type_name = 53,
                                   .dict_keys = 67,
                                   .bytes_size = 75,
                                   .text_state = 78};
constexpr OffsetWords kWords315 = {.interpreter_next = 8,
                                   .thread_next = 24,
                                   .thread_frame = 26,
                                   .thread_id = 30,
                                   .frame_previous = 40,
                                   .code_file = 48,
                                   .object_type = 59,
                                   .type_name = 61,
                                   .dict_keys = 79,
                                   .bytes_size = 87,
                                   .text_state = 90};

constexpr unsigned kFreeThreadedWord = 2;
constexpr unsigned kInterpretersWord = 5;

uint32_t MinorOf(uint32_t version) { return version >> 16; }

// What is the same for all code objects of a version: one read covers the number of the first line
// and the two names, which stand side by side.
void SetCode(PythonLayout& layout, uint16_t first_line, uint16_t file) {
  layout.code_file = file;
  layout.code_name = static_cast<uint16_t>(file + 8);
  layout.walk.code_begin = first_line;
  layout.walk.code_size = static_cast<uint16_t>(layout.code_name + 8 - first_line);
  layout.walk.code_names = static_cast<uint16_t>(file - first_line);
}

// 3.8 to 3.10: frames are objects.
PythonLayout LayoutOfFrameObjects(uint32_t version) {
  PythonLayout layout;
  layout.version = version;
  const bool is_310 = MinorOf(version) == 0x030a;
  layout.interpreters_head = 32;
  layout.walk = {.code_mask = ~uint64_t{0},
                 .interpreter_next = 0,
                 .interpreter_threads = 8,
                 .thread_next = 8,
                 .thread_id = 176,
                 .thread_frame = 24,
                 .cframe_frame = PYTHON_NO_OFFSET,
                 .frame_previous = 24,
                 .frame_code = 32,
                 .frame_instruction = static_cast<uint16_t>(is_310 ? 96 : 104),
                 .frame_entry = 0,
                 .instruction_bytes = 4,
                 .entries = PYTHON_ENTRY_ALL};
  layout.walk.frame_size = static_cast<uint16_t>(layout.walk.frame_instruction + 4);
  layout.thread_interpreter = 16;
  layout.frame_locals = is_310 ? 352 : 360;
  SetCode(layout, 40, 104);
  layout.code_line_table = 120;
  layout.code_instructions = 48;
  layout.line_table = is_310 ? LineTableKind::kRanges : LineTableKind::kDeltas;
  layout.type_cached_keys = MinorOf(version) == 0x0309 ? 864 : 872;
  layout.text_ascii_size = 48;
  layout.text_compact_size = 72;
  layout.keys_count = 32;
  layout.keys_indices = 40;
  layout.attributes = AttributeKind::kDictionary;
  return layout;
}

// From 3.11 on frames are plain structs, and code objects hold their instructions.
void SetCommonFrom311(PythonLayout& layout, uint32_t version) {
  layout.version = version;
  layout.walk.code_mask = ~uint64_t{0};
  layout.walk.cframe_frame = PYTHON_NO_OFFSET;
  layout.walk.instruction_bytes = 8;
  layout.code_qualified_name = 128;
  layout.code_line_table = 136;
  layout.line_table = LineTableKind::kLocations;
  layout.keys_count = 24;
  layout.keys_indices = 32;
}

PythonLayout Layout311(uint32_t version) {
  PythonLayout layout;
  SetCommonFrom311(layout, version);
  layout.interpreters_head = 40;
  layout.walk.interpreter_next = 0;
  layout.walk.interpreter_threads = 16;
  layout.walk.thread_next = 8;
  layout.walk.thread_id = 152;
  layout.walk.thread_frame = 56;
  layout.walk.cframe_frame = 8;
  layout.walk.frame_previous = 48;
  layout.walk.frame_code = 32;
  layout.walk.frame_instruction = 56;
  layout.walk.frame_entry = 68;
  layout.walk.frame_size = 72;
  layout.walk.entries = PYTHON_ENTRY_FLAG;
  layout.thread_interpreter = 16;
  layout.thread_native_id = 160;
  layout.frame_locals = 72;
  SetCode(layout, 72, 112);
  layout.code_instructions = 184;
  layout.type_cached_keys = 872;
  layout.text_ascii_size = 48;
  layout.text_compact_size = 72;
  layout.attributes = AttributeKind::kValuesOrDict;
  return layout;
}

PythonLayout Layout312(uint32_t version) {
  PythonLayout layout;
  SetCommonFrom311(layout, version);
  layout.interpreters_head = 40;
  layout.walk.interpreter_next = 0;
  layout.walk.interpreter_threads = 72;
  layout.walk.thread_next = 8;
  layout.walk.thread_id = 136;
  layout.walk.thread_frame = 56;
  layout.walk.cframe_frame = 0;
  layout.walk.frame_previous = 8;
  layout.walk.frame_code = 0;
  layout.walk.frame_instruction = 56;
  layout.walk.frame_entry = 70;
  layout.walk.frame_size = 72;
  layout.walk.entries = PYTHON_ENTRY_OWNER;
  layout.walk.own_owner = 3;
  layout.thread_interpreter = 16;
  layout.thread_native_id = 144;
  layout.frame_locals = 72;
  SetCode(layout, 68, 112);
  layout.code_instructions = 192;
  layout.type_cached_keys = 880;
  layout.text_ascii_size = 40;
  layout.text_compact_size = 56;
  layout.attributes = AttributeKind::kTaggedPointer;
  return layout;
}

class OffsetTable {
 public:
  explicit OffsetTable(std::span<const std::byte> runtime) : runtime_(runtime) {}

  uint64_t Word(unsigned index) {
    ByteReader reader(runtime_, uint64_t{index} * 8);
    const uint64_t word = reader.U64();
    ok_ = ok_ && reader.ok();
    return word;
  }

  // An offset in a struct that is read in one piece: one that large is none.
  uint16_t Small(unsigned index, uint16_t limit = 4096) {
    const uint64_t word = Word(index);
    ok_ = ok_ && word < limit;
    return static_cast<uint16_t>(word);
  }

  uint32_t Large(unsigned index) {
    const uint64_t word = Word(index);
    ok_ = ok_ && word < (1U << 24);
    return static_cast<uint32_t>(word);
  }

  bool ok() const { return ok_; }

 private:
  std::span<const std::byte> runtime_;
  bool ok_ = true;
};

void ReadThreads(OffsetTable& table, const OffsetWords& words, PythonLayout& layout) {
  layout.interpreters_head = table.Large(kInterpretersWord);
  layout.walk.interpreter_next = table.Large(words.interpreter_next);
  layout.walk.interpreter_threads = table.Large(words.interpreter_next + 1U);
  layout.walk.thread_next = table.Small(words.thread_next);
  layout.thread_interpreter = table.Small(words.thread_next + 1U);
  layout.walk.thread_frame = table.Small(words.thread_frame);
  layout.walk.thread_id = table.Small(words.thread_id);
  layout.thread_native_id = table.Small(words.thread_id + 1U);
}

void ReadFrames(OffsetTable& table, const OffsetWords& words, PythonLayout& layout) {
  // Within what is read of a frame.
  constexpr uint16_t kLimit = PYTHON_MOST_FRAME_SIZE - 8 + 1;
  layout.walk.frame_previous = table.Small(words.frame_previous, kLimit);
  layout.walk.frame_code = table.Small(words.frame_previous + 1U, kLimit);
  layout.walk.frame_instruction = table.Small(words.frame_previous + 2U, kLimit);
  layout.frame_locals = table.Small(words.frame_previous + 3U);
  layout.walk.frame_entry = table.Small(words.frame_previous + 4U, kLimit);
  layout.walk.entries = PYTHON_ENTRY_OWNER;
  layout.walk.own_owner = 3;
  const uint16_t last = std::max({static_cast<uint16_t>(layout.walk.frame_previous + 8),
                                  static_cast<uint16_t>(layout.walk.frame_code + 8),
                                  static_cast<uint16_t>(layout.walk.frame_instruction + 8),
                                  static_cast<uint16_t>(layout.walk.frame_entry + 1)});
  layout.walk.frame_size = static_cast<uint16_t>((last + 7) / 8 * 8);
}

absl::Status ReadCode(OffsetTable& table, const OffsetWords& words, PythonLayout& layout) {
  const uint16_t file = table.Small(words.code_file);
  const uint16_t name = table.Small(words.code_file + 1U);
  layout.code_qualified_name = table.Small(words.code_file + 2U);
  layout.code_line_table = table.Small(words.code_file + 3U);
  const uint16_t first_line = table.Small(words.code_file + 4U);
  layout.code_instructions = table.Small(words.code_file + 8U);
  if (!table.ok() || name != file + 8 || first_line > file ||
      name + 8 - first_line > PYTHON_MOST_CODE_SIZE) {
    return absl::UnimplementedError("its code objects are laid out in an unknown way");
  }
  SetCode(layout, first_line, file);
  return absl::OkStatus();
}

void ReadObjects(OffsetTable& table, const OffsetWords& words, PythonLayout& layout) {
  const bool is_315 = MinorOf(layout.version) == 0x030f;
  layout.object_type = table.Small(words.object_type);
  layout.type_name = table.Small(words.type_name);
  layout.type_flags = table.Small(words.type_name + 2U);
  layout.dict_keys = table.Small(words.dict_keys);
  layout.dict_values = table.Small(words.dict_keys + 1U);
  layout.object_size = table.Small(words.bytes_size);
  layout.bytes_data = table.Small(words.bytes_size + 1U);
  layout.text_state = table.Small(words.text_state);
  layout.text_length = table.Small(words.text_state + 1U);
  layout.text_ascii_size = table.Small(words.text_state + 2U);
  layout.text_compact_size = static_cast<uint16_t>(layout.text_ascii_size + 16);
  layout.type_cached_keys = 880;
  if (is_315) {
    layout.text_compact_size = table.Small(words.text_state + 3U);
    layout.type_basic_size = table.Small(words.type_name + 3U);
    layout.type_dict_offset = table.Small(words.type_name + 4U);
    layout.type_cached_keys = table.Small(words.type_name + 6U);
  }
  layout.attributes = AttributeKind::kInlineOrDict;
  layout.values_begin = 8;
}

absl::StatusOr<PythonLayout> LayoutFromTable(std::span<const std::byte> runtime) {
  PythonLayout layout;
  const uint32_t version = PythonVersionIn(runtime);
  SetCommonFrom311(layout, version);
  const uint32_t minor = MinorOf(version);
  const OffsetWords& words = minor == 0x030d ? kWords313 : minor == 0x030e ? kWords314 : kWords315;
  OffsetTable table(runtime);
  if (table.Word(kFreeThreadedWord) != 0) {
    return absl::UnimplementedError("it is built without the global lock");
  }
  // The lowest bits of references on stacks tell how they are counted.
  layout.walk.code_mask = minor == 0x030d ? ~uint64_t{0} : ~uint64_t{3};
  ReadThreads(table, words, layout);
  ReadFrames(table, words, layout);
  RETURN_IF_ERROR(ReadCode(table, words, layout));
  ReadObjects(table, words, layout);
  if (!table.ok()) {
    return absl::UnimplementedError("its table of offsets holds impossible ones");
  }
  return layout;
}

}  // namespace

std::string PythonVersionText(uint32_t version) {
  std::string text = absl::StrCat(version >> 24, ".", (version >> 16) & 0xff);
  if ((version & 0xffff) == 0) {
    return text;  // no more is known
  }
  absl::StrAppend(&text, ".", (version >> 8) & 0xff);
  const uint32_t level = (version >> 4) & 0xf;
  const char* stage = level == 0xa ? "a" : level == 0xb ? "b" : level == 0xc ? "rc" : nullptr;
  if (stage != nullptr) {
    absl::StrAppend(&text, stage, version & 0xf);
  }
  return text;
}

uint32_t PythonVersionIn(std::span<const std::byte> runtime) {
  ByteReader reader(runtime);
  const std::span<const std::byte> cookie = reader.Block(8);
  const uint64_t version = reader.U64();
  const bool has_table = reader.ok() && std::memcmp(cookie.data(), "xdebugpy", 8) == 0;
  return has_table && version <= UINT32_MAX ? static_cast<uint32_t>(version) : 0;
}

absl::StatusOr<PythonLayout> PythonLayoutOf(uint32_t version, std::span<const std::byte> runtime) {
  const uint32_t told = PythonVersionIn(runtime);
  switch (MinorOf(told != 0 ? told : version)) {
    case 0x0308:
    case 0x0309:
    case 0x030a:
      return LayoutOfFrameObjects(version);
    case 0x030b:
      return Layout311(version);
    case 0x030c:
      return Layout312(version);
    case 0x030d:
    case 0x030e:
    case 0x030f:
      if (told != 0) {
        return LayoutFromTable(runtime);
      }
      return absl::UnimplementedError("its table of offsets cannot be read");
    default:
      return absl::UnimplementedError("this version's memory layout is unknown");
  }
}

}  // namespace whyslow
