// Frames of Python code, as values: what a walk found, and what it means.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sampler/python/walk_layout.h"

namespace whyslow {

// Names a PythonStack of one process; 0: none.
enum class PythonStackId : uint64_t {};
inline constexpr PythonStackId kNoPythonStack{0};

struct PythonFunction {
  std::string name;  // qualified, where the interpreter knows it: from 3.11 on
  std::string file;  // as the code object has it
  int32_t first_line = 0;

  bool operator==(const PythonFunction&) const = default;
};

struct PythonFrame {
  std::shared_ptr<const PythonFunction> function;  // null: the code object was gone
  int32_t line = 0;                                // 0: none
  bool is_entry = false;  // the C function of the interpreter was entered with it
};

}  // namespace whyslow
