#include "sampler/python/frame_locals.h"

#include <algorithm>
#include <optional>

#include "sampler/python/value_text.h"

namespace whyslow {
namespace {

constexpr uint64_t kMostLocals = 64;

// The names in a tuple, as many as are shown.
std::vector<std::string> NamesIn(const PythonObjects& objects, const PythonInspectionLayout& layout,
                                 std::optional<RuntimeAddress> tuple) {
  std::vector<std::string> names;
  const auto count =
      tuple ? objects.memory().ReadValue<uint64_t>(*tuple + objects.layout().object_size)
            : std::optional<uint64_t>(0);
  for (uint64_t i = 0; i < std::min(count.value_or(0), kMostLocals); ++i) {
    const auto text = objects.ReadPointer(*tuple + layout.tuple_items + i * 8);
    names.push_back(text ? objects.ReadText(*text).value_or("?") : "?");
  }
  return names;
}

std::vector<std::string> NamesOfLocals(const PythonObjects& objects,
                                       const PythonInspectionLayout& layout, RuntimeAddress code) {
  std::vector<std::string> names =
      NamesIn(objects, layout, objects.ReadPointer(code + layout.local_names));
  if (layout.local_kinds == PYTHON_NO_OFFSET) {
    for (const uint16_t more : {layout.cell_names, layout.free_names}) {
      for (std::string& name : NamesIn(objects, layout, objects.ReadPointer(code + more))) {
        names.push_back(std::move(name));
      }
    }
  }
  names.resize(std::min<size_t>(names.size(), kMostLocals));
  return names;
}

// Variables that inner functions use stand in cells. nullopt: it has no value now.
std::optional<RuntimeAddress> Unwrapped(const PythonObjects& objects,
                                        const PythonInspectionLayout& layout,
                                        RuntimeAddress object) {
  const std::optional<RuntimeAddress> type = objects.TypeOf(object);
  if (!type || objects.NameOfType(*type) != "cell") {
    return object;
  }
  const std::optional<RuntimeAddress> value = objects.ReadPointer(object + layout.cell_value);
  return value && value->value() != 0 ? value : std::nullopt;
}

}  // namespace

std::vector<PythonLocal> ReadFrameLocals(const PythonObjects& objects,
                                         const PythonInspectionLayout& layout, RuntimeAddress frame,
                                         RuntimeAddress code) {
  const PythonValueText values(objects, layout);
  std::vector<PythonLocal> locals;
  uint64_t place = 0;
  for (std::string& name : NamesOfLocals(objects, layout, code)) {
    const auto word =
        objects.memory().ReadValue<uint64_t>(frame + objects.layout().frame_locals + 8 * place++);
    const RuntimeAddress object(word.value_or(0) & objects.layout().walk.code_mask);
    if (object.value() == 0) {
      continue;
    }
    const std::optional<RuntimeAddress> value = Unwrapped(objects, layout, object);
    // Comprehensions name their argument ".0".
    if (value && !name.starts_with('.')) {
      locals.push_back({.name = std::move(name), .value = values.Text(*value)});
    }
  }
  return locals;
}

}  // namespace whyslow
