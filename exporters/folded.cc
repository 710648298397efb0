#include "exporters/folded.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "exporters/shown_stack.h"
#include "exporters/shown_value.h"
#include "profile/saturated_sum.h"

namespace whyslow {
namespace {

// The frame that stands for a sample without any: a line must have one.
constexpr std::string_view kNoFrames = "[no stack]";

std::string FoldedLine(const Profile& profile, const Sample& sample, const ExportOptions& options) {
  std::vector<FlameFrame> frames;
  AppendShownStack(profile, sample, options, frames);
  std::string line;
  for (FlameFrame& frame : frames) {
    std::replace(frame.name.begin(), frame.name.end(), ';', ':');
    line += line.empty() ? "" : ";";
    line += frame.name;
  }
  return line.empty() ? std::string(kNoFrames) : line;
}

}  // namespace

absl::Status FoldedExporter::Write(const Profile& profile, std::ostream& out) const {
  const ShownValue shown = ShownValueOf(profile);
  std::map<std::string, int64_t> sums;
  for (size_t i = 0; i < profile.samples.size() && !profile.value_types.empty(); ++i) {
    const int64_t value = profile.ValuesOf(i)[shown.column];
    if (value != 0) {
      int64_t& sum = sums[FoldedLine(profile, profile.samples[i], options_)];
      sum = SaturatedSum(sum, value);
    }
  }
  std::vector<int64_t> values;
  for (const auto& [line, sum] : sums) {
    values.push_back(sum);
  }
  values = DivideKeepingTheSum(values, shown.divisor);
  size_t row = 0;
  for (const auto& [line, sum] : sums) {
    const int64_t value = values[row++];
    if (value != 0) {
      out << line << ' ' << value << '\n';
    }
  }
  return FinishStream(out);
}

}  // namespace whyslow
