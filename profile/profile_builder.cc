#include "profile/profile_builder.h"

#include <absl/strings/string_view.h>

#include <cstring>
#include <string>

#include "base/status.h"
#include "profile/saturated_sum.h"

namespace whyslow {
namespace {

// A row as a hash key: the bytes of its fields, one after the other.
class RowKey {
 public:
  template <class T>
  RowKey& Add(T value) {
    static_assert(std::is_trivially_copyable_v<T> && std::has_unique_object_representations_v<T>);
    char bytes[sizeof(T)];
    std::memcpy(bytes, &value, sizeof(T));
    key_.append(bytes, sizeof(T));
    return *this;
  }
  std::string Take() { return std::move(key_); }

 private:
  std::string key_;
};

template <class Row>
Index<Row> NextIndex(const std::vector<Row>& table) {
  return Index<Row>(static_cast<uint32_t>(table.size()));
}

constexpr std::string_view kNoteModule = "[whyslow]";

}  // namespace

ProfileBuilder::ProfileBuilder() { string_rows_.emplace(std::string(), kEmptyString); }

void ProfileBuilder::SetValueTypes(
    std::initializer_list<std::pair<std::string_view, std::string_view>> types) {
  SetValueTypes(std::span(types.begin(), types.size()));
}

void ProfileBuilder::SetValueTypes(
    std::span<const std::pair<std::string_view, std::string_view>> types) {
  WHYSLOW_CHECK(profile_.samples.empty());
  profile_.value_types.clear();
  for (const auto& [type, unit] : types) {
    profile_.value_types.push_back({AddString(type), AddString(unit)});
  }
}

StringIndex ProfileBuilder::AddString(std::string_view text) {
  const auto [row, is_new] =
      string_rows_.try_emplace(std::string(text), static_cast<uint32_t>(profile_.strings.size()));
  if (is_new) {
    profile_.strings.emplace_back(text);
  }
  return row->second;
}

ModuleIndex ProfileBuilder::AddModule(const Module& module) {
  RowKey key;
  key.Add(module.kind).Add(module.path.value()).Add(module.build_id.value());
  key.Add(module.memory_start).Add(module.memory_limit).Add(module.file_offset);
  const auto [row, is_new] = module_rows_.try_emplace(key.Take(), NextIndex(profile_.modules));
  if (is_new) {
    profile_.modules.push_back(module);
  }
  return row->second;
}

FunctionIndex ProfileBuilder::AddFunction(const Function& function) {
  RowKey key;
  key.Add(function.name.value()).Add(function.system_name.value());
  key.Add(function.file.value()).Add(function.start_line);
  const auto [row, is_new] = function_rows_.try_emplace(key.Take(), NextIndex(profile_.functions));
  if (is_new) {
    profile_.functions.push_back(function);
  }
  return row->second;
}

LocationIndex ProfileBuilder::AddLocation(ModuleIndex module, uint64_t address) {
  const LocationKey key{module, address, FunctionIndex(), 0};
  const auto [row, is_new] = location_rows_.try_emplace(key, NextIndex(profile_.locations));
  if (is_new) {
    profile_.locations.push_back({.module = module, .address = address, .lines = {}});
  }
  return row->second;
}

LocationIndex ProfileBuilder::AddNamedLocation(ModuleIndex module, FunctionIndex function,
                                               int64_t line) {
  const LocationKey key{module, 0, function, line};
  const auto [row, is_new] = location_rows_.try_emplace(key, NextIndex(profile_.locations));
  if (is_new) {
    profile_.locations.push_back(
        {.module = module, .address = 0, .lines = {{.function = function, .line = line}}});
  }
  return row->second;
}

LocationIndex ProfileBuilder::AddLocation(const Location& location) {
  // Rows that the shorter forms can make are theirs, so that captured and merged samples meet.
  if (!location.is_folded && location.lines.empty()) {
    return AddLocation(location.module, location.address);
  }
  if (!location.is_folded && location.address == 0 && location.lines.size() == 1 &&
      location.lines[0].column == 0 && location.lines[0].function.valid()) {
    return AddNamedLocation(location.module, location.lines[0].function, location.lines[0].line);
  }
  RowKey key;
  key.Add(location.module.value()).Add(location.address).Add(uint8_t{location.is_folded});
  for (const Line& line : location.lines) {
    key.Add(line.function.value()).Add(line.line).Add(line.column);
  }
  const auto [row, is_new] =
      foreign_location_rows_.try_emplace(key.Take(), NextIndex(profile_.locations));
  if (is_new) {
    profile_.locations.push_back(location);
  }
  return row->second;
}

LocationIndex ProfileBuilder::AddNote(std::string_view text) {
  const ModuleIndex module = AddModule({.kind = ModuleKind::kNote,
                                        .path = AddString(kNoteModule),
                                        .has_functions = true,
                                        .has_filenames = true,
                                        .has_line_numbers = true,
                                        .has_inline_frames = true});
  return AddNamedLocation(module, AddFunction({.name = AddString(text)}), 0);
}

StackIndex ProfileBuilder::AddStackNode(StackIndex parent, LocationIndex location) {
  const auto [row, is_new] =
      stack_rows_.try_emplace(std::pair(parent, location), NextIndex(profile_.stacks));
  if (is_new) {
    profile_.stacks.push_back({parent, location});
  }
  return row->second;
}

StackIndex ProfileBuilder::AddStack(std::span<const LocationIndex> leaf_first) {
  StackIndex node;
  for (size_t i = leaf_first.size(); i-- > 0;) {
    node = AddStackNode(node, leaf_first[i]);
  }
  return node;
}

LabelSetIndex ProfileBuilder::AddLabels(std::span<const Label> labels) {
  if (labels.empty()) {
    return LabelSetIndex();
  }
  RowKey key;
  for (const Label& label : labels) {
    key.Add(label.key.value()).Add(label.text.value()).Add(label.number).Add(label.unit.value());
  }
  const auto [row, is_new] = label_rows_.try_emplace(key.Take(), NextIndex(profile_.label_sets));
  if (is_new) {
    profile_.label_sets.push_back({std::vector<Label>(labels.begin(), labels.end())});
  }
  return row->second;
}

Label ProfileBuilder::TextLabel(std::string_view key, std::string_view text) {
  return {.key = AddString(key), .text = AddString(text)};
}

Label ProfileBuilder::NumberLabel(std::string_view key, int64_t number, std::string_view unit) {
  return {.key = AddString(key), .number = number, .unit = AddString(unit)};
}

void ProfileBuilder::AddSample(StackIndex stack, LabelSetIndex labels,
                               std::span<const int64_t> values) {
  WHYSLOW_CHECK(values.size() == profile_.value_types.size());
  const auto [row, is_new] = sample_rows_.try_emplace(
      std::pair(stack, labels), static_cast<uint32_t>(profile_.samples.size()));
  if (is_new) {
    profile_.samples.push_back({stack, labels});
    profile_.values.insert(profile_.values.end(), values.begin(), values.end());
    return;
  }
  const std::span<int64_t> total = profile_.ValuesOf(row->second);
  for (size_t i = 0; i < values.size(); ++i) {
    total[i] = SaturatedSum(total[i], values[i]);
  }
}

void ProfileBuilder::AddWaitTimes(StackIndex stack, LabelSetIndex labels,
                                  const DurationHistogram& times) {
  const auto row = sample_rows_.find(std::pair(stack, labels));
  WHYSLOW_CHECK(row != sample_rows_.end());
  profile_.wait_times[row->second].Add(times);
}

Profile ProfileBuilder::Build() && { return std::move(profile_); }

namespace {

// The rows of one profile under the indices that another builder gave them; each row once.
class RowTranslator {
 public:
  RowTranslator(ProfileBuilder& into, const Profile& from)
      : into_(into),
        from_(from),
        modules_(from.modules.size()),
        functions_(from.functions.size()),
        locations_(from.locations.size()),
        stacks_(from.stacks.size()),
        label_sets_(from.label_sets.size()) {}

  StringIndex String(StringIndex index) { return into_.AddString(from_.Text(index)); }

  ModuleIndex TranslateModule(ModuleIndex index) {
    if (!index.valid() || modules_[index.value()].valid()) {
      return index.valid() ? modules_[index.value()] : index;
    }
    Module module = from_.ModuleAt(index);
    module.path = String(module.path);
    module.build_id = String(module.build_id);
    return modules_[index.value()] = into_.AddModule(module);
  }

  FunctionIndex TranslateFunction(FunctionIndex index) {
    if (!index.valid() || functions_[index.value()].valid()) {
      return index.valid() ? functions_[index.value()] : index;
    }
    Function function = from_.FunctionAt(index);
    function.name = String(function.name);
    function.system_name = String(function.system_name);
    function.file = String(function.file);
    return functions_[index.value()] = into_.AddFunction(function);
  }

  LocationIndex TranslateLocation(LocationIndex index) {
    if (locations_[index.value()].valid()) {
      return locations_[index.value()];
    }
    Location location = from_.LocationAt(index);
    location.module = TranslateModule(location.module);
    for (Line& line : location.lines) {
      line.function = TranslateFunction(line.function);
    }
    return locations_[index.value()] = into_.AddLocation(location);
  }

  // Parents stand anywhere in the table of a foreign file's reader, so the walk is explicit, not
  // recursive.
  StackIndex TranslateStack(StackIndex index) {
    std::vector<StackIndex> pending;
    while (index.valid() && !stacks_[index.value()].valid()) {
      pending.push_back(index);
      index = from_.StackAt(index).parent;
    }
    StackIndex node = index.valid() ? stacks_[index.value()] : index;
    for (size_t i = pending.size(); i-- > 0;) {
      node = into_.AddStackNode(node, TranslateLocation(from_.StackAt(pending[i]).location));
      stacks_[pending[i].value()] = node;
    }
    return node;
  }

  LabelSetIndex TranslateLabels(LabelSetIndex index) {
    if (!index.valid() || label_sets_[index.value()].valid()) {
      return index.valid() ? label_sets_[index.value()] : index;
    }
    std::vector<Label> labels = from_.label_sets[index.value()].labels;
    for (Label& label : labels) {
      label.key = String(label.key);
      label.text = String(label.text);
      label.unit = String(label.unit);
    }
    return label_sets_[index.value()] = into_.AddLabels(labels);
  }

 private:
  ProfileBuilder& into_;
  const Profile& from_;
  std::vector<ModuleIndex> modules_;
  std::vector<FunctionIndex> functions_;
  std::vector<LocationIndex> locations_;
  std::vector<StackIndex> stacks_;
  std::vector<LabelSetIndex> label_sets_;
};

bool SameValueTypes(const Profile& a, const Profile& b) {
  if (a.value_types.size() != b.value_types.size()) {
    return false;
  }
  for (size_t i = 0; i < a.value_types.size(); ++i) {
    if (a.Text(a.value_types[i].type) != b.Text(b.value_types[i].type) ||
        a.Text(a.value_types[i].unit) != b.Text(b.value_types[i].unit)) {
      return false;
    }
  }
  return true;
}

}  // namespace

bool MergeInto(ProfileBuilder& into, const Profile& from) {
  if (!SameValueTypes(into.profile(), from)) {
    return false;
  }
  RowTranslator translate(into, from);
  for (size_t i = 0; i < from.samples.size(); ++i) {
    const StackIndex stack = translate.TranslateStack(from.samples[i].stack);
    const LabelSetIndex labels = translate.TranslateLabels(from.samples[i].labels);
    into.AddSample(stack, labels, from.ValuesOf(i));
    const auto times = from.wait_times.find(i);
    if (times != from.wait_times.end()) {
      into.AddWaitTimes(stack, labels, times->second);
    }
  }
  return true;
}

}  // namespace whyslow
