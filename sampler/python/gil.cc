#include "sampler/python/gil.h"

#include <algorithm>

namespace whyslow {
namespace {

constexpr size_t kMostInterpreters = 256;

std::optional<PythonGil> ReadGil(const PythonObjects& objects, const PythonInspectionLayout& layout,
                                 RuntimeAddress lock) {
  const auto locked = objects.memory().ReadValue<int32_t>(lock + layout.gil_locked);
  const auto holder = objects.ReadPointer(lock + layout.gil_holder);
  if (!locked || !holder || *locked < -1 || *locked > 1) {
    return std::nullopt;
  }
  // The one who took it last stays named when it is free again.
  return PythonGil{.lock = lock, .holder = *locked == 1 ? *holder : RuntimeAddress()};
}

}  // namespace

std::optional<std::vector<PythonGil>> ReadGils(const PythonObjects& objects,
                                               const PythonInspectionLayout& layout,
                                               RuntimeAddress runtime) {
  std::vector<PythonGil> gils;
  const auto add = [&](RuntimeAddress lock) {
    const std::optional<PythonGil> gil = ReadGil(objects, layout, lock);
    if (gil && std::ranges::find(gils, lock, &PythonGil::lock) == gils.end()) {
      gils.push_back(*gil);
    }
    return gil.has_value();
  };
  if (layout.runtime_gil != PYTHON_NO_OFFSET) {
    return add(runtime + layout.runtime_gil) ? std::optional(gils) : std::nullopt;
  }
  const python_walk_layout& walk = objects.layout().walk;
  std::optional<RuntimeAddress> interpreter =
      objects.ReadPointer(RuntimeAddress(walk.interpreters));
  for (size_t i = 0; i < kMostInterpreters && interpreter && interpreter->value() != 0; ++i) {
    const auto lock = objects.ReadPointer(*interpreter + layout.interpreter_gil);
    if (!lock || !add(*lock)) {
      return std::nullopt;
    }
    interpreter = objects.ReadPointer(*interpreter + walk.interpreter_next);
  }
  return gils.empty() ? std::nullopt : std::optional(gils);
}

}  // namespace whyslow
