// A profile as text that does not depend on the numbers of its rows: two profiles that say the same
// have the same text.
#pragma once

#include <absl/strings/str_format.h>

#include <string>
#include <vector>

#include "profile/profile.h"

namespace whyslow {

inline std::string TextOfLocation(const Profile& profile, LocationIndex index) {
  const Location& location = profile.LocationAt(index);
  std::string text = absl::StrFormat("  0x%x folded=%d", location.address, location.is_folded);
  if (location.module.valid()) {
    const Module& module = profile.ModuleAt(location.module);
    text += absl::StrFormat(" in %s/%s kind=%d %x-%x@%x %d%d%d%d", profile.Text(module.path),
                            profile.Text(module.build_id), static_cast<int>(module.kind),
                            module.memory_start, module.memory_limit, module.file_offset,
                            module.has_functions, module.has_filenames, module.has_line_numbers,
                            module.has_inline_frames);
  }
  for (const Line& line : location.lines) {
    const Function function =
        line.function.valid() ? profile.FunctionAt(line.function) : Function{};
    text += absl::StrFormat(" | %s/%s %s:%d+%d:%d", profile.Text(function.name),
                            profile.Text(function.system_name), profile.Text(function.file),
                            function.start_line, line.line, line.column);
  }
  return text + '\n';
}

inline std::string TextOfSample(const Profile& profile, size_t index) {
  std::string text = "sample";
  for (const int64_t value : profile.ValuesOf(index)) {
    text += absl::StrFormat(" %d", value);
  }
  for (const Label& label : profile.LabelsOf(profile.samples[index])) {
    text += absl::StrFormat(" [%s=%s/%d %s]", profile.Text(label.key), profile.Text(label.text),
                            label.number, profile.Text(label.unit));
  }
  text += '\n';
  std::vector<LocationIndex> stack;
  AppendLocations(profile, profile.samples[index].stack, stack);
  for (const LocationIndex location : stack) {
    text += TextOfLocation(profile, location);
  }
  return text;
}

inline std::string TextOf(const Profile& profile) {
  std::string text;
  for (const ValueType& type : profile.value_types) {
    text += absl::StrFormat("column %s/%s\n", profile.Text(type.type), profile.Text(type.unit));
  }
  text += absl::StrFormat(
      "time %d+%d period %d %s/%s default %s drop %s keep %s doc %s\n", profile.time_nanos,
      profile.duration_nanos, profile.period, profile.Text(profile.period_type.type),
      profile.Text(profile.period_type.unit), profile.Text(profile.default_sample_type),
      profile.Text(profile.drop_frames), profile.Text(profile.keep_frames),
      profile.Text(profile.doc_url));
  for (const StringIndex comment : profile.comments) {
    text += absl::StrFormat("comment %s\n", profile.Text(comment));
  }
  for (size_t i = 0; i < profile.samples.size(); ++i) {
    text += TextOfSample(profile, i);
  }
  return text + "unknown " + profile.unknown_fields + '\n';
}

}  // namespace whyslow
