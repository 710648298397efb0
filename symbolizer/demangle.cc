#include "symbolizer/demangle.h"

#include <llvm/Demangle/Demangle.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "symbolizer/demangled_size.h"

namespace whyslow {
namespace {

// The demangler goes one call deeper for a character in the worst case (about 500 bytes of stack).
constexpr size_t kMaxSymbol = 8192;
constexpr size_t kMaxName = size_t{1} << 20;
constexpr uint64_t kMaxEstimate = uint64_t{8} << 20;
// A back reference can at most double what was printed before it.
constexpr ptrdiff_t kMaxRustBackReferences = 40;

struct FreeDeleter {
  void operator()(char* text) const { std::free(text); }  // NOLINT: malloc'ed by the demangler
};
using MallocText = std::unique_ptr<char, FreeDeleter>;

bool IsHex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

// "core::fmt::write::h0123456789abcdef" -> "core::fmt::write"; nullopt when it has no such end.
std::optional<std::string_view> WithoutRustHash(std::string_view name) {
  constexpr size_t kTail = 19;  // "::h" and 16 digits
  if (name.size() <= kTail || name.substr(name.size() - kTail, 3) != "::h" ||
      !std::ranges::all_of(name.substr(name.size() - 16), IsHex)) {
    return std::nullopt;
  }
  return name.substr(0, name.size() - kTail);
}

// "$LT$" and its kin, and "$uXX$" for a code point below 0x80. `text` begins with '$'. Returns the
// character and the length of its code; length 0: none of them.
std::pair<char, size_t> RustEscape(std::string_view text) {
  constexpr std::pair<std::string_view, char> kEscapes[] = {
      {"$SP$", '@'}, {"$BP$", '*'}, {"$RF$", '&'}, {"$LT$", '<'},
      {"$GT$", '>'}, {"$LP$", '('}, {"$RP$", ')'}, {"$C$", ','}};
  for (const auto& [code, character] : kEscapes) {
    if (text.starts_with(code)) {
      return {character, code.size()};
    }
  }
  const size_t end = text.find('$', 1);
  if (text.starts_with("$u") && end != std::string_view::npos && end > 2 && end <= 6 &&
      std::ranges::all_of(text.substr(2, end - 2), IsHex)) {
    const unsigned long value =
        std::strtoul(std::string(text.substr(2, end - 2)).c_str(), nullptr, 16);
    if (value >= 0x20 && value < 0x7F) {
      return {static_cast<char>(value), end + 1};
    }
  }
  return {'\0', 0};
}

std::string UnescapeRust(std::string_view name) {
  std::string out;
  bool at_start = true;  // of a path's component, where "_$" protects the '$'
  while (!name.empty()) {
    if (at_start && name.starts_with("_$")) {
      name.remove_prefix(1);
    }
    at_start = false;
    if (name.front() == '$') {
      if (const auto [character, length] = RustEscape(name); length != 0) {
        out += character;
        name.remove_prefix(length);
        continue;
      }
    }
    if (name.starts_with("..")) {
      out += "::";
      name.remove_prefix(2);
      continue;
    }
    at_start = name.starts_with("::") || (name.front() == ':' && out.ends_with(':'));
    out += name.front();
    name.remove_prefix(1);
  }
  return out;
}

std::string Finish(const std::string& symbol, MallocText text) {
  if (text == nullptr) {
    return symbol;
  }
  const std::string_view name(text.get());
  if (name.empty() || name.size() > kMaxName) {
    return symbol;
  }
  if (const std::optional<std::string_view> rust = WithoutRustHash(name)) {
    return UnescapeRust(*rust);
  }
  return std::string(name);
}

// What compilers append to the parts and copies that they make of a function: ".cold", ".isra.0",
// ".llvm.1234567". They are still that function, and the numbers change with every build.
std::string WithoutCloneSuffixes(const std::string& symbol) {
  static constexpr std::string_view kSuffixes[] = {".cold",     ".constprop", ".isra",      ".llvm",
                                                   ".lto_priv", ".part",      ".localalias"};
  std::string_view name(symbol);
  while (true) {
    std::string_view shorter = name.substr(0, name.find_last_not_of("0123456789") + 1);
    if (shorter.size() != name.size() && shorter.ends_with('.')) {
      shorter.remove_suffix(1);
    } else {
      shorter = name;
    }
    const auto suffix = std::ranges::find_if(
        kSuffixes, [shorter](std::string_view s) { return shorter.ends_with(s); });
    if (suffix == std::end(kSuffixes) || suffix->size() == shorter.size()) {
      return std::string(name);
    }
    name = shorter.substr(0, shorter.size() - suffix->size());
  }
}

}  // namespace

std::string Demangle(const std::string& symbol) {
  if (symbol.size() > kMaxSymbol || symbol.size() < 3 || symbol.find('\0') != std::string::npos) {
    return symbol;
  }
  std::string plain = WithoutCloneSuffixes(symbol);
  int status = 0;
  if (plain.starts_with("_Z")) {
    if (DemangledSizeBound(plain) > kMaxEstimate) {
      return symbol;
    }
    return Finish(symbol,
                  MallocText(llvm::itaniumDemangle(plain.c_str(), nullptr, nullptr, &status)));
  }
  if (plain.starts_with("_R") && std::ranges::count(plain, 'B') <= kMaxRustBackReferences) {
    return Finish(symbol, MallocText(llvm::rustDemangle(plain.c_str(), nullptr, nullptr, &status)));
  }
  return plain;
}

}  // namespace whyslow
