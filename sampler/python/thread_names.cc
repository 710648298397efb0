#include "sampler/python/thread_names.h"

namespace whyslow {

std::optional<std::string> NameOfPythonThread(const PythonObjects& objects, PythonCodeReader& codes,
                                              const PythonWalk& walk) {
  if (walk.end != PythonWalkEnd::kRoot || walk.frames.empty()) {
    return std::nullopt;
  }
  return NameByOutermostFrame(objects, codes, walk.frames.back(), OutermostFrame(walk));
}

std::optional<std::string> NameByOutermostFrame(const PythonObjects& objects,
                                                PythonCodeReader& codes,
                                                const python_raw_frame& outermost,
                                                RuntimeAddress frame) {
  const std::shared_ptr<const PythonFunction> function = codes.Read(outermost).function;
  if (function == nullptr || !function->file.ends_with("threading.py") ||
      (function->name != "_bootstrap" && function->name != "Thread._bootstrap")) {
    return std::nullopt;
  }
  const PythonLayout& layout = objects.layout();
  const auto code = objects.memory().ReadValue<uint64_t>(frame + layout.walk.frame_code);
  const auto self = objects.memory().ReadValue<uint64_t>(frame + layout.frame_locals);
  if (!self || !code || (*code & layout.walk.code_mask) != outermost.code) {
    return std::nullopt;
  }
  const RuntimeAddress thread(*self & layout.walk.code_mask);
  const std::optional<RuntimeAddress> name = objects.FindAttribute(thread, "_name");
  return name ? objects.ReadText(*name) : std::nullopt;
}

}  // namespace whyslow
