// Where CPython keeps what only a look at a process reads, beside what samples need: its global
// lock, local variables, the values of simple objects.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "sampler/python/python_layout.h"

namespace whyslow {

struct PythonInspectionLayout {
  // The global lock is a struct in _PyRuntime or, from 3.12 on, one that each interpreter points
  // to. PYTHON_NO_OFFSET: the other one holds.
  uint16_t runtime_gil = PYTHON_NO_OFFSET;
  uint32_t interpreter_gil = 0;
  uint16_t gil_holder = 8;  // in the struct: the thread state that took it last
  uint16_t gil_locked = 16;

  // In a code object: names of local variables. From 3.11 on one tuple and what kind each is.
  uint16_t local_names = 0;
  uint16_t local_kinds = PYTHON_NO_OFFSET;
  uint16_t cell_names = 0;  // up to 3.10
  uint16_t free_names = 0;

  uint16_t tuple_items = 24;
  uint16_t list_items = 24;  // a pointer to them
  uint16_t float_value = 16;
  uint16_t cell_value = 16;
  uint16_t int_size = 16;  // how many digits, and the sign
  uint16_t int_digits = 24;
  bool int_has_tag = false;  // from 3.12 on the sign stands in the lowest bits of the size
};

// `runtime` as for PythonLayoutOf. nullopt: not known for this version or machine.
std::optional<PythonInspectionLayout> InspectionLayoutOf(const PythonLayout& layout,
                                                         std::span<const std::byte> runtime);

}  // namespace whyslow
