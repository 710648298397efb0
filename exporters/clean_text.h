// Names of functions, files and threads come from the target: here they become text that no
// format, page or terminal can be harmed by.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace whyslow {

// Valid UTF-8 on one line. Line breaks and tabs become spaces; other control characters, marks that
// turn the direction of text, and bytes that are no UTF-8 become visible: `\x1b`, `\u202e`, `\xff`.
std::string CleanText(std::string_view text);

// The text itself where it is valid UTF-8; else with the bytes that are not made visible: `\xff`.
std::string ValidUtf8(std::string_view text);

// For XML text and attribute values; the argument need not be clean.
std::string EscapeXml(std::string_view text);

// A JSON string with its quotes. `<`, `>` and `&` are escaped, so that it can stand in a script
// element and in a CDATA section. The argument need not be clean.
std::string QuoteJson(std::string_view text);

// How many characters (code points) a clean text has.
size_t CountCharacters(std::string_view clean);

// The first `count` characters of a clean text.
std::string_view FirstCharacters(std::string_view clean, size_t count);

}  // namespace whyslow
