// Columns of text for a terminal: aligned, cut to its width, plain when it is not one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace whyslow {

// Every column is aligned to the right but the last, the name, which is cut in the middle where
// the terminal ends.
class TextTable {
 public:
  explicit TextTable(std::vector<std::string> headings) : headings_(std::move(headings)) {}

  // As many cells as headings. The last cell may hold any bytes; it is made printable here.
  void AddRow(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }

  // `width` 0: nothing is cut. With `color` the headings are bold.
  std::string Render(size_t width, bool color) const;

 private:
  std::vector<std::string> headings_;
  std::vector<std::vector<std::string>> rows_;
};

// How all quantities of one table are written: one unit, so that a column can be compared at a
// glance.
class ValueScale {
 public:
  // Chooses from the profile's unit and the greatest value shown. `per_second` adds "/s".
  ValueScale(std::string_view unit, double greatest, bool per_second = false);

  // "12.34 s", "1,234", "5.6 MB/s".
  std::string Format(double value) const;
  // The same with its sign: "+1.20 s", "-3", "0".
  std::string FormatChange(double value) const;

 private:
  double divisor_ = 1;
  std::string suffix_;
  bool whole_ = false;
};

// "12.3 %"; "-" when there is no whole.
std::string FormatShare(double part, double whole);
// 1234567 -> "1,234,567".
std::string WithThousands(uint64_t value);

}  // namespace whyslow
