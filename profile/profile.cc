#include "profile/profile.h"

#include <absl/strings/str_format.h>

#include <algorithm>

namespace whyslow {
namespace {

std::string_view BaseName(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

std::string UnresolvedName(const Profile& profile, const Location& location) {
  if (!location.module.valid()) {
    return absl::StrFormat("[0x%x]", location.address);
  }
  std::string_view module = BaseName(profile.Text(profile.ModuleAt(location.module).path));
  if (module.empty()) {
    return absl::StrFormat("[0x%x]", location.address);
  }
  // "[vdso]" and "[kernel.kallsyms]" bring their own brackets.
  if (module.starts_with('[') && module.ends_with(']')) {
    module = module.substr(1, module.size() - 2);
  }
  return absl::StrFormat("[%s+0x%x]", module, location.address);
}

}  // namespace

std::optional<size_t> Profile::FindValueType(std::string_view type) const {
  for (size_t column = 0; column < value_types.size(); ++column) {
    if (Text(value_types[column].type) == type) {
      return column;
    }
  }
  return std::nullopt;
}

size_t Profile::DefaultValueColumn() const {
  const std::string_view wanted = Text(default_sample_type);
  if (!wanted.empty()) {
    if (std::optional<size_t> column = FindValueType(wanted)) {
      return *column;
    }
  }
  return value_types.empty() ? 0 : value_types.size() - 1;
}

std::string_view Profile::TextLabel(const Sample& sample, std::string_view key) const {
  for (const Label& label : LabelsOf(sample)) {
    if (label.text != kEmptyString && Text(label.key) == key) {
      return Text(label.text);
    }
  }
  return {};
}

std::optional<int64_t> Profile::NumberLabel(const Sample& sample, std::string_view key) const {
  for (const Label& label : LabelsOf(sample)) {
    if (label.text == kEmptyString && Text(label.key) == key) {
      return label.number;
    }
  }
  return std::nullopt;
}

void AppendShownFrames(const Profile& profile, LocationIndex index, std::vector<ShownFrame>& out) {
  const Location& location = profile.LocationAt(index);
  ShownFrame frame;
  if (location.module.valid()) {
    const Module& module = profile.ModuleAt(location.module);
    frame.kind = module.kind;
    frame.module_path = profile.Text(module.path);
  }
  if (location.lines.empty()) {
    frame.name = UnresolvedName(profile, location);
    out.push_back(std::move(frame));
    return;
  }
  for (size_t i = location.lines.size(); i-- > 0;) {
    const Line& line = location.lines[i];
    // Other tools write lines without a function.
    const Function function =
        line.function.valid() ? profile.FunctionAt(line.function) : Function{};
    frame.name = profile.Text(function.name);
    if (frame.name.empty()) {
      frame.name = profile.Text(function.system_name);
    }
    if (frame.name.empty()) {
      frame.name = UnresolvedName(profile, location);
    }
    frame.file = profile.Text(function.file);
    frame.line = line.line;
    frame.inlined = i + 1 < location.lines.size();
    out.push_back(frame);
  }
}

void AppendLocations(const Profile& profile, StackIndex stack, std::vector<LocationIndex>& out) {
  for (StackIndex node = stack; node.valid(); node = profile.StackAt(node).parent) {
    out.push_back(profile.StackAt(node).location);
  }
}

}  // namespace whyslow
