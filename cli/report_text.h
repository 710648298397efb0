// Tables of a profile and of a comparison, as text and as JSON. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "profile/function_table.h"
#include "profile/profile_diff.h"

namespace whyslow {

struct TextStyle {
  size_t limit = 30;
  size_t width = 0;  // of the terminal; 0: nothing is cut
  bool color = false;
};

// Of the JSON of all reports; changes when a field changes its meaning or goes.
inline constexpr int kReportJsonVersion = 1;

std::string TableAsText(const FunctionTable& table, GroupBy by, const TextStyle& style);
std::string DiffAsText(const ProfileDiff& diff, const TextStyle& style);

// "12 more rows; ..." and a newline; empty when the limit is above the number of rows.
std::string RowsLeftOut(size_t rows, size_t limit);
// How much of the column the tables leave out, and how to see it; empty for none.
std::string IdleLeftOutLine(int64_t value, std::string_view unit);

// One object and a newline.
std::string TableAsJson(const FunctionTable& table, GroupBy by, int64_t duration_nanos,
                        size_t limit, int64_t idle_left_out = 0);
std::string DiffAsJson(const ProfileDiff& diff, size_t limit);

}  // namespace whyslow
