// Which line an instruction of a code object belongs to, by the tables of the CPython versions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "sampler/python/python_layout.h"

namespace whyslow {

class PythonLineTable {
 public:
  PythonLineTable() = default;
  // `bytes` may be damaged: lines are then wrong, and nothing else.
  PythonLineTable(LineTableKind kind, std::string_view bytes, int32_t first_line);

  // `offset`: of the instruction, in bytes; before the first: a call that has not begun. 0: the
  // instruction belongs to no line.
  int32_t LineAt(int64_t offset) const;

  size_t MemoryBytes() const { return rows_.capacity() * sizeof(Row); }

 private:
  struct Row {
    uint32_t end = 0;  // offset behind its instructions, which begin where those before it end
    int32_t line = 0;
  };

  void ReadDeltas(std::string_view bytes);
  void ReadRanges(std::string_view bytes);
  void ReadLocations(std::string_view bytes);
  void Add(uint64_t end, int64_t line);

  std::vector<Row> rows_;
  int32_t first_line_ = 0;
  int32_t last_line_ = 0;  // of what lies behind all rows
};

}  // namespace whyslow
