// Where the CPython versions keep what is read of them from outside, in bytes. x86-64 and ARM64
// builds without Py_DEBUG and with the global lock.
#pragma once

#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "sampler/python/walk_layout.h"

namespace whyslow {

// How a code object tells which instruction belongs to which line.
enum class LineTableKind : uint8_t {
  kDeltas,     // co_lnotab, up to 3.9
  kRanges,     // co_linetable of 3.10
  kLocations,  // co_linetable from 3.11 on
};

// Where an instance keeps its attributes.
enum class AttributeKind : uint8_t {
  kDictionary,     // a pointer to a dictionary, where the type says: up to 3.10
  kValuesOrDict,   // two pointers before the object, one of them set: 3.11
  kTaggedPointer,  // one pointer before the object, to values if its lowest bit is set: 3.12
  kInlineOrDict,   // a pointer before the object; while it is not set, the values follow the
                   // object: from 3.13 on
};

struct PythonLayout {
  uint32_t version = 0;  // as in Py_Version: 0x030b02f0 is 3.11.2
  python_walk_layout walk{};

  uint64_t interpreters_head = 0;  // in _PyRuntime
  uint16_t thread_interpreter = 0;
  uint16_t thread_native_id = PYTHON_NO_OFFSET;
  uint16_t frame_locals = 0;  // localsplus

  // In a code object. What walk.code_begin names is the number of the first line.
  uint16_t code_file = 0;
  uint16_t code_name = 0;
  uint16_t code_qualified_name = PYTHON_NO_OFFSET;
  uint16_t code_line_table = 0;
  uint16_t code_instructions =
      0;  // up to 3.10 a pointer to bytes, then the instructions themselves
  LineTableKind line_table = LineTableKind::kDeltas;

  uint16_t object_type = 8;
  uint16_t object_size = 16;  // of objects of variable size: how many items

  uint16_t type_name = 24;
  uint16_t type_basic_size = 32;
  uint16_t type_flags = 168;
  uint16_t type_dict_offset = 288;
  uint16_t type_cached_keys = 0;  // in a heap type

  uint16_t text_length = 16;
  uint16_t text_state = 32;
  uint16_t text_ascii_size = 0;    // sizeof(PyASCIIObject): where ASCII begins
  uint16_t text_compact_size = 0;  // sizeof(PyCompactUnicodeObject): where the others begin

  uint16_t bytes_data = 32;

  uint16_t dict_keys = 32;
  uint16_t dict_values = 40;
  uint16_t keys_count = 0;    // in dictionary keys: how many entries are in use
  uint16_t keys_indices = 0;  // likewise: where the indices begin, which the entries follow
  AttributeKind attributes = AttributeKind::kDictionary;
  uint16_t values_begin = 0;  // in the values of an instance

  bool has_addressed_instructions() const { return walk.instruction_bytes == 8; }
};

// "3.11.2", "3.15.0rc1".
std::string PythonVersionText(uint32_t version);

inline constexpr size_t kPythonDebugOffsetsSize = 1024;

// `runtime`: what stands at _PyRuntime, kPythonDebugOffsetsSize bytes if they can be had; from 3.13
// on it begins with a table of offsets. `version` may be 0 when that table tells it. The error says
// what is unknown about this version. walk.interpreters stays 0.
absl::StatusOr<PythonLayout> PythonLayoutOf(uint32_t version, std::span<const std::byte> runtime);

// The version that the table at _PyRuntime tells; 0: there is none.
uint32_t PythonVersionIn(std::span<const std::byte> runtime);

}  // namespace whyslow
