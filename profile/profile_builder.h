// Makes a Profile: interns every row once and adds up samples that are equal in stack and labels.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/node_hash_map.h>

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "profile/profile.h"

namespace whyslow {

// Used by one thread. Indices that it gives out stay valid in the finished Profile.
//
//   ProfileBuilder builder;
//   builder.SetValueTypes({{"cpu_samples", "count"}, {"cpu", "nanoseconds"}});
//   LocationIndex leaf = builder.AddLocation(module, 0x1234);
//   StackIndex stack = builder.AddStack({{leaf, caller, main}});      // leaf first
//   builder.AddSample(stack, builder.AddLabels(labels), {{1, 10'101'010}});
//   Profile profile = std::move(builder).Build();
class ProfileBuilder {
 public:
  ProfileBuilder();

  // Before the first sample; also the order of the values in AddSample.
  void SetValueTypes(std::initializer_list<std::pair<std::string_view, std::string_view>> types);
  void SetValueTypes(std::span<const std::pair<std::string_view, std::string_view>> types);

  StringIndex AddString(std::string_view text);
  ModuleIndex AddModule(const Module& module);  // equal kind, path, build ID and range: one row
  FunctionIndex AddFunction(const Function& function);
  // A location by its address; lines are given later, by the symbolizer.
  LocationIndex AddLocation(ModuleIndex module, uint64_t address);
  // A location that is known by name alone: Python frames, waits, notes. Same module, function and
  // line: one row.
  LocationIndex AddNamedLocation(ModuleIndex module, FunctionIndex function, int64_t line);
  // A location as another profile has it, lines included.
  LocationIndex AddLocation(const Location& location);
  // A pseudo frame in brackets such as "[truncated: stack copy ended]".
  LocationIndex AddNote(std::string_view text);
  StackIndex AddStack(std::span<const LocationIndex> leaf_first);
  // The node of `location` called from `parent` (not valid: a root).
  StackIndex AddStackNode(StackIndex parent, LocationIndex location);
  LabelSetIndex AddLabels(std::span<const Label> labels);
  Label TextLabel(std::string_view key, std::string_view text);
  Label NumberLabel(std::string_view key, int64_t number, std::string_view unit = "");

  // Adds the values to the row of (stack, labels). As many values as value types.
  void AddSample(StackIndex stack, LabelSetIndex labels, std::span<const int64_t> values);
  // How long the waits of such a row were; added up likewise. After AddSample.
  void AddWaitTimes(StackIndex stack, LabelSetIndex labels, const DurationHistogram& times);

  // For what is not a table: times, period, comments.
  Profile& header() { return profile_; }
  const Profile& profile() const { return profile_; }

  Profile Build() &&;

 private:
  struct LocationKey {
    ModuleIndex module;
    uint64_t address;
    FunctionIndex function;
    int64_t line;
    bool operator==(const LocationKey&) const = default;
    template <class H>
    friend H AbslHashValue(H state, const LocationKey& key) {
      return H::combine(std::move(state), key.module, key.address, key.function, key.line);
    }
  };

  Profile profile_;
  // Keys view into node-stable copies: profile_.strings moves its short strings when it grows.
  absl::node_hash_map<std::string, StringIndex> string_rows_;
  absl::flat_hash_map<std::string, ModuleIndex> module_rows_;
  absl::flat_hash_map<std::string, FunctionIndex> function_rows_;
  absl::flat_hash_map<LocationKey, LocationIndex> location_rows_;
  absl::flat_hash_map<std::string, LocationIndex> foreign_location_rows_;
  absl::flat_hash_map<std::pair<StackIndex, LocationIndex>, StackIndex> stack_rows_;
  absl::flat_hash_map<std::string, LabelSetIndex> label_rows_;
  absl::flat_hash_map<std::pair<StackIndex, LabelSetIndex>, uint32_t> sample_rows_;
};

// Adds every sample of `from` to `into`, which has the same value types (checked: false otherwise,
// and nothing is added). Rows are interned anew; header fields are left alone.
bool MergeInto(ProfileBuilder& into, const Profile& from);

}  // namespace whyslow
