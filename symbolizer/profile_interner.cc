#include "symbolizer/profile_interner.h"

#include <algorithm>
#include <utility>

namespace whyslow {
namespace {

// The length of the well-formed UTF-8 character at the start of `text`; 0 when it is none.
size_t CharacterLength(std::string_view text) {
  const auto byte = [text](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(0);
  size_t length = 0;
  unsigned lowest = 0;
  if (first < 0x80) {
    return first >= 0x20 && first != 0x7F ? 1 : 0;
  }
  if (first >= 0xC2 && first <= 0xDF) {
    length = 2;
    lowest = 0x80;
  } else if (first >= 0xE0 && first <= 0xEF) {
    length = 3;
    lowest = 0x800;
  } else if (first >= 0xF0 && first <= 0xF4) {
    length = 4;
    lowest = 0x10000;
  }
  if (length == 0 || text.size() < length) {
    return 0;
  }
  unsigned value = first & (0x7FU >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) {
      return 0;
    }
    value = value << 6 | (byte(i) & 0x3F);
  }
  const bool is_surrogate = value >= 0xD800 && value <= 0xDFFF;
  return value >= lowest && value <= 0x10FFFF && !is_surrogate ? length : 0;
}

// Nearly every name; a loop without branches, which the compiler makes many bytes wide.
bool IsPrintableAscii(std::string_view text) {
  unsigned bad = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    bad |= static_cast<unsigned>(byte < 0x20) | static_cast<unsigned>(byte >= 0x7F);
  }
  return bad == 0;
}

}  // namespace

std::string PrintableText(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t length = CharacterLength(text);
    if (length == 0) {
      out += '?';
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return out;
}

ProfileInterner::ProfileInterner(Profile& profile)
    : profile_(profile), strings_(0, TextHash{&profile.strings}, TextEqual{&profile.strings}) {
  for (uint32_t i = 0; i < profile.strings.size(); ++i) {
    strings_.insert(StringIndex(i));
  }
  for (uint32_t i = 0; i < profile.functions.size(); ++i) {
    functions_.try_emplace(KeyOf(profile.functions[i]), FunctionIndex(i));
  }
}

ProfileInterner::FunctionKey ProfileInterner::KeyOf(const Function& function) {
  return {function.name.value(), function.system_name.value(), function.file.value(),
          function.start_line};
}

void ProfileInterner::Reserve(size_t functions) {
  // A name and a symbol each, files being few.
  strings_.reserve(strings_.size() + 2 * functions);
  profile_.strings.reserve(profile_.strings.size() + 2 * functions);
  functions_.reserve(functions_.size() + functions);
}

StringIndex ProfileInterner::InternString(std::string text) {
  if (!IsPrintableAscii(text)) {
    text = PrintableText(text);
  }
  return *strings_.lazy_emplace(std::string_view(text), [&](const auto& make) {
    const StringIndex row(static_cast<uint32_t>(profile_.strings.size()));
    profile_.strings.push_back(std::move(text));
    make(row);
  });
}

FunctionIndex ProfileInterner::InternFunction(NamedFunction function) {
  const Function row{.name = InternString(std::move(function.name)),
                     .system_name = InternString(std::move(function.system_name)),
                     .file = InternString(std::move(function.file)),
                     .start_line = function.start_line};
  const auto [known, is_new] = functions_.try_emplace(
      KeyOf(row), FunctionIndex(static_cast<uint32_t>(profile_.functions.size())));
  if (is_new) {
    profile_.functions.push_back(row);
  }
  return known->second;
}

}  // namespace whyslow
