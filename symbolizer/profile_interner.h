// Appends strings and functions to the tables of a profile, each once.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <absl/hash/hash.h>
#include <absl/strings/string_view.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "profile/profile.h"
#include "symbolizer/module_names.h"

namespace whyslow {

class ProfileInterner {
 public:
  // Knows what the profile already holds. `profile` outlives the interner.
  explicit ProfileInterner(Profile& profile);

  // Texts are moved into the profile where they are new: those of C++ are long.
  StringIndex InternString(std::string text);
  FunctionIndex InternFunction(NamedFunction function);
  // So many functions are to come.
  void Reserve(size_t functions);

 private:
  // A row of Profile::strings stands for its text, so that no text is kept twice.
  struct TextHash {
    using is_transparent = void;  // NOLINT(readability-identifier-naming): the library's word
    const std::vector<std::string>* strings;
    size_t operator()(std::string_view text) const {
      return absl::Hash<absl::string_view>{}(absl::string_view(text.data(), text.size()));
    }
    size_t operator()(StringIndex row) const { return (*this)((*strings)[row.value()]); }
  };
  struct TextEqual {
    using is_transparent = void;  // NOLINT(readability-identifier-naming)
    const std::vector<std::string>* strings;
    bool operator()(StringIndex a, StringIndex b) const {
      return (*strings)[a.value()] == (*strings)[b.value()];
    }
    bool operator()(StringIndex a, std::string_view b) const { return (*strings)[a.value()] == b; }
  };
  using FunctionKey = std::tuple<uint32_t, uint32_t, uint32_t, int64_t>;
  static FunctionKey KeyOf(const Function& function);

  Profile& profile_;
  absl::flat_hash_set<StringIndex, TextHash, TextEqual> strings_;
  absl::flat_hash_map<FunctionKey, FunctionIndex> functions_;
};

// Symbols and paths are bytes that the target chose; readers of profiles want UTF-8 of one line.
// Bytes that are no UTF-8 and control characters become '?'.
std::string PrintableText(std::string_view text);

}  // namespace whyslow
