// The local variables of a frame of Python code, of a thread that sleeps.
#pragma once

#include <string>
#include <vector>

#include "base/address.h"
#include "sampler/python/inspection_layout.h"
#include "sampler/python/objects.h"

namespace whyslow {

struct PythonLocal {
  std::string name;
  std::string value;  // as PythonValueText

  bool operator==(const PythonLocal&) const = default;
};

// In the order of the code object: arguments first. Those that have no value now are left out, and
// so are the names of modules and classes in the making, which are in dictionaries. At most 64.
std::vector<PythonLocal> ReadFrameLocals(const PythonObjects& objects,
                                         const PythonInspectionLayout& layout, RuntimeAddress frame,
                                         RuntimeAddress code);

}  // namespace whyslow
