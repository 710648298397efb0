#include "sampler/python/thread_names.h"

#include <algorithm>

namespace whyslow {

std::optional<std::string> NameOfPythonThread(const PythonObjects& objects, PythonCodeReader& codes,
                                              const PythonWalk& walk) {
  if (walk.end != PythonWalkEnd::kRoot || walk.frames.empty()) {
    return std::nullopt;
  }
  const std::shared_ptr<const PythonFunction> outermost = codes.Read(walk.frames.back()).function;
  if (outermost == nullptr || !outermost->file.ends_with("threading.py") ||
      (outermost->name != "_bootstrap" && outermost->name != "Thread._bootstrap")) {
    return std::nullopt;
  }
  const auto step = std::find_if(walk.steps.rbegin(), walk.steps.rend(),
                                 [](const PythonWalkStep& candidate) { return !candidate.is_own; });
  const auto self =
      objects.memory().ReadValue<uint64_t>(step->frame + objects.layout().frame_locals);
  if (!self) {
    return std::nullopt;
  }
  const RuntimeAddress thread(*self & objects.layout().walk.code_mask);
  const std::optional<RuntimeAddress> name = objects.FindAttribute(thread, "_name");
  return name ? objects.ReadText(*name) : std::nullopt;
}

}  // namespace whyslow
