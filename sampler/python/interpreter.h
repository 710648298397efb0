// Finds a CPython in a mapped file: an executable, a libpython, or another program that has it
// built in.
#pragma once

#include <absl/status/statusor.h>

#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "sampler/python/python_layout.h"
#include "sampler/target/address_space.h"
#include "sampler/target/target_memory.h"

namespace whyslow {

struct CodeRange {
  ElfAddress elf;
  RuntimeAddress runtime;
  uint64_t size = 0;

  bool Contains(RuntimeAddress address) const { return address - runtime < size; }
};

// One interpreter library in one process. There is one _PyRuntime, whatever the number of
// (sub)interpreters.
struct Interpreter {
  PythonLayout layout;
  RuntimeAddress runtime;  // _PyRuntime
  // The type of code objects; 0 until CheckInterpreter has seen one. (Not by its symbol: a program
  // that names PyCode_Type may have its own copy of it.)
  RuntimeAddress code_type;
  // _PyEval_EvalFrameDefault and the parts that compilers split off it. A stripped file names only
  // the first part, and in some builds most of the loop lies in another: then is_loop_complete is
  // false, and the rest is to be found by its frame description entry.
  std::vector<CodeRange> loop;
  bool is_loop_complete = false;
};

// `mapping`: any executable mapping of the file. nullopt: there is no CPython in it. The error says
// in one line, with the version where it is known, why its frames cannot be read.
absl::StatusOr<std::optional<Interpreter>> FindInterpreter(const Mapping& mapping,
                                                           const TargetMemory& memory);

enum class InterpreterState : uint8_t {
  kReady,     // what was read is what it should be
  kNotReady,  // it is not initialised, or runs no Python code now: to be asked again
};

// Reads what is there and compares it with what always holds: thread states belong to their
// interpreter, frames lead to code objects, whose type is named "code" and whose names are text,
// and chains of frames end. The error says what does not hold; then nothing is to be read. Fills in
// code_type.
absl::StatusOr<InterpreterState> CheckInterpreter(Interpreter& interpreter,
                                                  const TargetMemory& memory);

}  // namespace whyslow
