// Who holds CPython's global lock, read from outside.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "base/address.h"
#include "sampler/python/inspection_layout.h"
#include "sampler/python/objects.h"

namespace whyslow {

struct PythonGil {
  RuntimeAddress lock;
  RuntimeAddress holder;  // a thread state; 0: the lock is free

  bool operator==(const PythonGil&) const = default;
};

// One for each lock: of several interpreters each may have its own from 3.12 on. nullopt: what
// stands there cannot be locks. The lock changes hands while it is read: the thread state still has
// to be found among those that the interpreters know.
std::optional<std::vector<PythonGil>> ReadGils(const PythonObjects& objects,
                                               const PythonInspectionLayout& layout,
                                               RuntimeAddress runtime);

}  // namespace whyslow
