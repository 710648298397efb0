// Tables of a profile and of a comparison, as text and as JSON. Pure.
#pragma once

#include <string>

#include "profile/function_table.h"
#include "profile/profile_diff.h"

namespace whyslow {

struct TextStyle {
  size_t limit = 30;
  size_t width = 0;  // of the terminal; 0: nothing is cut
  bool color = false;
};

std::string TableAsText(const FunctionTable& table, GroupBy by, const TextStyle& style);
std::string DiffAsText(const ProfileDiff& diff, const TextStyle& style);

// One object and a newline. "version" changes when a field changes its meaning or goes.
std::string TableAsJson(const FunctionTable& table, GroupBy by, int64_t duration_nanos,
                        size_t limit);
std::string DiffAsJson(const ProfileDiff& diff, size_t limit);

}  // namespace whyslow
