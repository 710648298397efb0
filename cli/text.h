// Text that came from somewhere else, made fit for a terminal: no escape sequences, known width.
#pragma once

#include <string>
#include <string_view>

namespace whyslow {

// Names come from the target, which may be hostile: control characters, escape sequences, marks
// that turn the direction of writing and bytes that are no UTF-8 come out as visible text (`\x1b`,
// `\u202e`, U+FFFD). Everything else is left as it is.
std::string Printable(std::string_view text);

// Columns that printable UTF-8 takes: wide characters (CJK, emoji) two, combining marks none.
size_t DisplayWidth(std::string_view printable);

// At most `width` columns: the middle gives way to "...", for both ends of a name tell it apart.
std::string CutMiddle(const std::string& printable, size_t width);

}  // namespace whyslow
