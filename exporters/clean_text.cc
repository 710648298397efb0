#include "exporters/clean_text.h"

#include <absl/strings/str_format.h>

namespace whyslow {
namespace {

struct Character {
  uint32_t code = 0;
  size_t bytes = 1;
  bool valid = false;
};

bool IsContinuation(char byte) { return (static_cast<uint8_t>(byte) & 0xC0) == 0x80; }

// The character at the beginning of `text`, which is not empty. Overlong forms, surrogates and
// codes beyond Unicode are not valid.
Character Decode(std::string_view text) {
  const auto first = static_cast<uint8_t>(text[0]);
  if (first < 0x80) {
    return {first, 1, true};
  }
  const size_t bytes = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < bytes) {
    return {};
  }
  uint32_t code = first & (0xFFU >> (bytes + 1));
  for (size_t i = 1; i < bytes; ++i) {
    if (!IsContinuation(text[i])) {
      return {};
    }
    code = code << 6 | (static_cast<uint8_t>(text[i]) & 0x3FU);
  }
  const uint32_t smallest = bytes == 4 ? 0x10000 : bytes == 3 ? 0x800 : 0x80;
  if (code < smallest || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) {
    return {};
  }
  return {code, bytes, true};
}

bool IsSpace(uint32_t code) {
  return (code >= '\t' && code <= '\r') || code == 0x85 || code == 0x2028 || code == 0x2029;
}

bool IsControl(uint32_t code) { return code < 0x20 || (code >= 0x7F && code <= 0x9F); }

// Text that reads differently from what it is, and codes that XML does not allow.
bool IsDeceptive(uint32_t code) {
  return code == 0x61C || code == 0x200E || code == 0x200F || (code >= 0x202A && code <= 0x202E) ||
         (code >= 0x2066 && code <= 0x2069) || code == 0xFEFF || (code & 0xFFFE) == 0xFFFE;
}

template <class Append>
std::string Escape(std::string_view text, Append append) {
  std::string out;
  out.reserve(text.size());
  for (const char c : CleanText(text)) {
    append(out, c);
  }
  return out;
}

}  // namespace

std::string CleanText(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Character character = Decode(text);
    if (!character.valid) {
      out += absl::StrFormat("\\x%02x", static_cast<uint8_t>(text[0]));
    } else if (IsSpace(character.code)) {
      out += ' ';
    } else if (IsControl(character.code)) {
      out += absl::StrFormat("\\x%02x", character.code);
    } else if (IsDeceptive(character.code)) {
      out += absl::StrFormat("\\u%04x", character.code);
    } else {
      out += text.substr(0, character.bytes);
    }
    text.remove_prefix(character.bytes);
  }
  return out;
}

std::string ValidUtf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Character character = Decode(text);
    if (character.valid) {
      out += text.substr(0, character.bytes);
    } else {
      out += absl::StrFormat("\\x%02x", static_cast<uint8_t>(text[0]));
    }
    text.remove_prefix(character.bytes);
  }
  return out;
}

std::string EscapeXml(std::string_view text) {
  return Escape(text, [](std::string& out, char c) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  });
}

std::string QuoteJson(std::string_view text) {
  const std::string inner = Escape(text, [](std::string& out, char c) {
    switch (c) {
      case '"':
      case '\\':
        out += '\\';
        out += c;
        break;
      case '<':
      case '>':
      case '&':
        out += absl::StrFormat("\\u%04x", static_cast<uint8_t>(c));
        break;
      default:
        out += c;
    }
  });
  return '"' + inner + '"';
}

size_t CountCharacters(std::string_view clean) {
  size_t count = 0;
  for (const char c : clean) {
    count += IsContinuation(c) ? 0 : 1;
  }
  return count;
}

std::string_view FirstCharacters(std::string_view clean, size_t count) {
  size_t end = 0;
  while (end < clean.size() && (count > 0 || IsContinuation(clean[end]))) {
    count -= IsContinuation(clean[end]) ? 0 : 1;
    ++end;
  }
  return clean.substr(0, end);
}

}  // namespace whyslow
