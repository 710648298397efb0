// The waist of the project: what capture produces and everything shown is made from.
//
// A Profile is a set of tables that refer to each other by typed indices. It holds no descriptor,
// no process and no format; one that was read back from a file is as good as one just captured, and
// profiles of other tools (any pprof file) fit into it without loss of what pprof can say.
//
//   strings <- modules <- locations <- stacks (a tree, by parent) <- samples -> labels
//   strings <- functions <- lines (of a location, innermost first)
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/duration_histogram.h"
#include "base/typed_index.h"

namespace whyslow {

struct Function;
struct Label;
struct LabelSet;
struct Location;
struct Module;
struct StackNode;
struct StringRow;

using StringIndex = Index<StringRow>;
using ModuleIndex = Index<Module>;
using FunctionIndex = Index<Function>;
using LocationIndex = Index<Location>;
using StackIndex = Index<StackNode>;
using LabelSetIndex = Index<LabelSet>;

// Entry 0 is always the empty string, also as StringIndex{} in a row that has no text.
inline constexpr StringIndex kEmptyString{0};

enum class ModuleKind : uint8_t {
  kFile,    // a loaded ELF file (also memfd and deleted ones)
  kKernel,  // [kernel.kallsyms], one for the kernel and its modules
  kVdso,    // [vdso]
  kJit,     // code without a file; named by a perf map or jitdump when there is one
  kPython,  // [python]
  kWait,    // [wait]: the leaf of a waiting stack
  kNote,    // [whyslow]: what we say about a stack, such as [truncated: ...]
};

// One loaded file (a pprof Mapping). memory_start is the ELF address of the executable segment in
// the file's own view, so that rows are equal for every process and run; file_offset is that
// segment's.
struct Module {
  ModuleKind kind = ModuleKind::kFile;
  StringIndex path = kEmptyString;
  StringIndex build_id = kEmptyString;  // lower-case hex
  uint64_t memory_start = 0;
  uint64_t memory_limit = 0;
  uint64_t file_offset = 0;
  bool has_functions = false;
  bool has_filenames = false;
  bool has_line_numbers = false;
  bool has_inline_frames = false;
};

struct Function {
  StringIndex name = kEmptyString;         // demangled, qualified
  StringIndex system_name = kEmptyString;  // the mangled symbol; empty where there is none
  StringIndex file = kEmptyString;         // full path
  int64_t start_line = 0;

  bool operator==(const Function&) const = default;
};

// One function that covers a location; several where the compiler inlined, innermost first.
struct Line {
  FunctionIndex function;  // not valid: unknown (seen in other tools' files)
  int64_t line = 0;
  int64_t column = 0;

  bool operator==(const Line&) const = default;
};

// One code address of one module. `address` is an ELF address (a runtime address for kernel and JIT
// code, 0 for Python and pseudo frames), already inside the call for callers. No lines: not
// symbolized.
struct Location {
  ModuleIndex module;  // not valid: unknown
  uint64_t address = 0;
  std::vector<Line> lines;
  bool is_folded = false;
};

// A stack is named by its leaf node; walking the parents leads to the root. Stacks share callers.
struct StackNode {
  StackIndex parent;  // not valid: this is the root frame
  LocationIndex location;
};

// Text (str) or a number (num with num_unit), as in pprof.
struct Label {
  StringIndex key = kEmptyString;
  StringIndex text = kEmptyString;
  int64_t number = 0;
  StringIndex unit = kEmptyString;

  bool operator==(const Label&) const = default;
};

// Labels of a sample in order of arrival; equal sets are stored once.
struct LabelSet {
  std::vector<Label> labels;

  bool operator==(const LabelSet&) const = default;
};

struct ValueType {
  StringIndex type = kEmptyString;
  StringIndex unit = kEmptyString;

  bool operator==(const ValueType&) const = default;
};

// The values of sample i are values[i * value_types.size() ...]; see Profile::ValuesOf.
struct Sample {
  StackIndex stack;  // not valid: a sample with an empty stack
  LabelSetIndex labels;
};

struct Profile {
  std::vector<std::string> strings{std::string()};
  std::vector<Module> modules;
  std::vector<Function> functions;
  std::vector<Location> locations;
  std::vector<StackNode> stacks;
  std::vector<LabelSet> label_sets;
  std::vector<ValueType> value_types;
  std::vector<Sample> samples;
  std::vector<int64_t> values;
  std::map<size_t, DurationHistogram> wait_times;  // by position in samples: of waits, where known

  int64_t time_nanos = 0;      // UTC, since the epoch
  int64_t duration_nanos = 0;  // wall time covered
  ValueType period_type;
  int64_t period = 0;
  StringIndex default_sample_type = kEmptyString;
  StringIndex drop_frames = kEmptyString;
  StringIndex keep_frames = kEmptyString;
  StringIndex doc_url = kEmptyString;
  std::vector<StringIndex> comments;
  // Fields of the file that this version does not know (also of field 2000), kept byte for byte.
  std::string unknown_fields;

  std::string_view Text(StringIndex index) const { return strings[index.value()]; }
  const Module& ModuleAt(ModuleIndex index) const { return modules[index.value()]; }
  const Function& FunctionAt(FunctionIndex index) const { return functions[index.value()]; }
  const Location& LocationAt(LocationIndex index) const { return locations[index.value()]; }
  const StackNode& StackAt(StackIndex index) const { return stacks[index.value()]; }
  std::span<const Label> LabelsOf(const Sample& sample) const {
    return sample.labels.valid() ? std::span<const Label>(label_sets[sample.labels.value()].labels)
                                 : std::span<const Label>();
  }
  std::span<const int64_t> ValuesOf(size_t sample) const {
    return {values.data() + sample * value_types.size(), value_types.size()};
  }
  std::span<int64_t> ValuesOf(size_t sample) {
    return {values.data() + sample * value_types.size(), value_types.size()};
  }

  // The column of a value type such as "wall" or "cpu_samples"; nullopt when the profile has none.
  std::optional<size_t> FindValueType(std::string_view type) const;
  // The column to show: default_sample_type when it names one, else the last (pprof's rule).
  size_t DefaultValueColumn() const;
  // The first text label with this key; empty when absent.
  std::string_view TextLabel(const Sample& sample, std::string_view key) const;
  std::optional<int64_t> NumberLabel(const Sample& sample, std::string_view key) const;
};

// How one frame reads in a table or a flame graph. Inlined frames and whole locations look the
// same.
struct ShownFrame {
  std::string name;  // "Parse(char const*)", "[libc.so.6+0x8a3f]", "[truncated: stack copy ended]"
  std::string_view file;  // "" when unknown
  int64_t line = 0;
  ModuleKind kind = ModuleKind::kFile;
  std::string_view module_path;
  bool inlined = false;  // a function that the compiler merged into its caller
};

// Appends the frames of one location, outermost first, so that root-first walks can simply append.
// An unresolved location gives one frame `[module+0xoffset]`.
void AppendShownFrames(const Profile& profile, LocationIndex location,
                       std::vector<ShownFrame>& out);

// Locations of a stack, leaf first.
void AppendLocations(const Profile& profile, StackIndex stack, std::vector<LocationIndex>& out);

}  // namespace whyslow
