// What frames mean: function, file and line, read from the target's code objects and remembered.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <memory>
#include <utility>

#include "sampler/python/line_table.h"
#include "sampler/python/objects.h"
#include "sampler/python_frames.h"

namespace whyslow {

// Of one process; borrows `objects`. What it remembers is bounded (64 MiB); used by one thread.
class PythonCodeReader {
 public:
  explicit PythonCodeReader(const PythonObjects& objects) : objects_(&objects) {}

  // The function is null when the code object that the walk saw is no longer there, or never was
  // one. What was read once is not read again: the check of a raw frame tells another code object
  // at the same address.
  PythonFrame Read(const python_raw_frame& frame);

  // Another stack begins. Of one stack, line tables of at most 8 MiB are read, far more than those
  // of true programs: a target made for it must not keep us busy. Functions beyond are null and
  // come with a later stack.
  void BeginStack() { tables_left_ = kMostTables; }

  size_t MemoryBytes() const { return memory_bytes_; }

 private:
  static constexpr uint64_t kMostTables = uint64_t{8} << 20;

  struct Code {
    std::shared_ptr<const PythonFunction> function;
    PythonLineTable lines;
  };
  // Where parts of a code object are, as one read of it gave them.
  struct Parts {
    uint32_t check = 0;
    int32_t first_line = 0;
    RuntimeAddress file;
    RuntimeAddress name;
    RuntimeAddress line_table;

    bool operator==(const Parts&) const = default;
  };

  std::optional<Parts> ReadParts(RuntimeAddress code) const;
  std::optional<Code> ReadCode(RuntimeAddress code, uint32_t check);
  // The offset of a frame's instruction in its code, in bytes.
  int64_t OffsetOf(const python_raw_frame& frame) const;

  const PythonObjects* objects_;
  absl::flat_hash_map<std::pair<uint64_t, uint32_t>, Code> codes_;  // by address and check
  size_t memory_bytes_ = 0;
  uint64_t tables_left_ = kMostTables;
};

}  // namespace whyslow
