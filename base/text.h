// Lines, words and numbers of the kernel's text files.
#pragma once

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <vector>

namespace whyslow {

// Takes the next word, up to any of `ends`, off the front of `text`.
inline std::string_view TakeWord(std::string_view& text, std::string_view ends = " \t\n") {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  const size_t size = std::min(text.find_first_of(ends), text.size());
  const std::string_view word = text.substr(0, size);
  text.remove_prefix(std::min(size + 1, text.size()));
  return word;
}

// nullopt: not a number from its first character to its last.
template <class T>
std::optional<T> ToNumber(std::string_view word, int base = 10) {
  T value{};
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value, base);
  const bool whole = error == std::errc() && end == word.data() + word.size();
  return whole ? std::optional(value) : std::nullopt;
}

// What stands between separators, of which several count as one.
inline std::vector<std::string_view> PartsOf(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const size_t size = std::min(text.find(separator), text.size());
    if (size > 0) {
      parts.push_back(text.substr(0, size));
    }
    text.remove_prefix(std::min(size + 1, text.size()));
  }
  return parts;
}

}  // namespace whyslow
