// Which of several symbols at one address names the code best. Always the same one.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <string_view>

namespace whyslow {

// Smaller is better: functions before labels, what other files see before what they do not, and of
// aliases (write, __write, __libc_write) the one that people know.
struct SymbolRank {
  bool is_label = false;  // not marked as a function
  bool is_local = false;
  uint32_t underscores = 0;
  bool is_weak = false;
  std::string_view name;

  static SymbolRank Of(std::string_view name, bool is_label, bool is_local, bool is_weak) {
    const size_t first = std::min(name.find_first_not_of('_'), name.size());
    // Mangled names begin with one or two that say nothing.
    const bool is_mangled = name.starts_with("_Z") || name.starts_with("_R");
    return {.is_label = is_label,
            .is_local = is_local,
            .underscores = is_mangled ? 0 : static_cast<uint32_t>(first),
            .is_weak = is_weak,
            .name = name};
  }

  bool BetterThan(const SymbolRank& other) const {
    if (is_label != other.is_label) {
      return other.is_label;
    }
    if (is_local != other.is_local) {
      return other.is_local;
    }
    if (underscores != other.underscores) {
      return underscores < other.underscores;
    }
    if (is_weak != other.is_weak) {
      return other.is_weak;
    }
    if (name.size() != other.name.size()) {
      return name.size() < other.name.size();
    }
    return name < other.name;
  }
};

}  // namespace whyslow
