// Appends strings and functions to the tables of a profile, each once.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/strings/string_view.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>

#include "profile/profile.h"
#include "symbolizer/module_names.h"

namespace whyslow {

class ProfileInterner {
 public:
  // Knows what the profile already holds. `profile` outlives the interner.
  explicit ProfileInterner(Profile& profile);

  StringIndex InternString(std::string_view text);
  FunctionIndex InternFunction(const NamedFunction& function);

 private:
  using FunctionKey = std::tuple<uint32_t, uint32_t, uint32_t, int64_t>;
  static FunctionKey KeyOf(const Function& function);
  StringIndex InternPrintable(std::string_view text);

  Profile& profile_;
  absl::flat_hash_map<std::string, StringIndex> strings_;
  absl::flat_hash_map<FunctionKey, FunctionIndex> functions_;
};

// Symbols and paths are bytes that the target chose; readers of profiles want UTF-8 of one line.
// Bytes that are no UTF-8 and control characters become '?'.
std::string PrintableText(std::string_view text);

}  // namespace whyslow
