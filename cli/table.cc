#include "cli/table.h"

#include <absl/strings/str_format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "cli/text.h"

namespace whyslow {
namespace {

constexpr std::string_view kColumnGap = "  ";
constexpr size_t kNarrowestName = 20;

struct UnitStep {
  double divisor;
  std::string_view suffix;
};

// Greatest first.
constexpr std::array kTimeSteps = {UnitStep{1e9, "s"}, UnitStep{1e6, "ms"}, UnitStep{1e3, "us"},
                                   UnitStep{1, "ns"}};
constexpr std::array kByteSteps = {UnitStep{1e9, "GB"}, UnitStep{1e6, "MB"}, UnitStep{1e3, "kB"},
                                   UnitStep{1, "B"}};

// Nanoseconds (or bytes) in one of the profile's units; 0: the unit is neither.
double NanosecondsIn(std::string_view unit) {
  if (unit == "nanoseconds") return 1;
  if (unit == "microseconds") return 1e3;
  if (unit == "milliseconds") return 1e6;
  if (unit == "seconds") return 1e9;
  return 0;
}

template <size_t N>
UnitStep ChooseStep(const std::array<UnitStep, N>& steps, double greatest) {
  const auto fits = [&](const UnitStep& step) { return greatest >= step.divisor; };
  const auto found = std::find_if(steps.begin(), steps.end(), fits);
  return found == steps.end() ? steps.back() : *found;
}

std::string Grouped(std::string digits) {
  for (size_t i = digits.size(); i > 3; i -= 3) {
    digits.insert(i - 3, ",");
  }
  return digits;
}

}  // namespace

std::string TextTable::Render(size_t width, bool color) const {
  std::vector<size_t> widths;
  size_t name_start = 0;
  for (size_t column = 0; column + 1 < headings_.size(); ++column) {
    size_t widest = DisplayWidth(headings_[column]);
    for (const std::vector<std::string>& row : rows_) {
      widest = std::max(widest, DisplayWidth(row[column]));
    }
    widths.push_back(widest);
    name_start += widest + kColumnGap.size();
  }
  const auto render_row = [&](const std::vector<std::string>& row) {
    std::string line;
    for (size_t column = 0; column < widths.size(); ++column) {
      line.append(widths[column] - DisplayWidth(row[column]), ' ');
      line += row[column];
      line += kColumnGap;
    }
    std::string name = Printable(row.back());
    if (width > 0) {
      name = CutMiddle(name, std::max(kNarrowestName, width - std::min(width, name_start)));
    }
    return line + name;
  };
  std::string text = color ? absl::StrFormat("\x1b[1m%s\x1b[0m\n", render_row(headings_))
                           : render_row(headings_) + "\n";
  for (const std::vector<std::string>& row : rows_) {
    text += render_row(row) + "\n";
  }
  return text;
}

ValueScale::ValueScale(std::string_view unit, double greatest, bool per_second) {
  const double nanoseconds = NanosecondsIn(unit);
  greatest = std::abs(greatest);
  if (nanoseconds > 0) {
    const UnitStep step = ChooseStep(kTimeSteps, greatest * nanoseconds);
    divisor_ = step.divisor / nanoseconds;
    suffix_ = " " + std::string(step.suffix);
  } else if (unit == "bytes") {
    const UnitStep step = ChooseStep(kByteSteps, greatest);
    divisor_ = step.divisor;
    suffix_ = " " + std::string(step.suffix);
  } else {
    whole_ = !per_second;
  }
  if (per_second) {
    suffix_ += "/s";
  }
}

std::string ValueScale::Format(double value) const {
  if (whole_) {
    const std::string digits = absl::StrFormat("%.0f", std::abs(value));
    return (value < 0 ? "-" : "") + Grouped(digits) + suffix_;
  }
  return absl::StrFormat("%.2f%s", value / divisor_, suffix_);
}

std::string ValueScale::FormatChange(double value) const {
  return (value > 0 ? "+" : "") + Format(value);
}

std::string FormatShare(double part, double whole) {
  return whole == 0 ? "-" : absl::StrFormat("%.1f %%", 100 * part / whole);
}

std::string WithThousands(uint64_t value) { return Grouped(absl::StrFormat("%d", value)); }

}  // namespace whyslow
