#include "sampler/python/value_text.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <span>
#include <vector>

#include "sampler/python/dictionary_items.h"

namespace whyslow {
namespace {

constexpr size_t kMostCharacters = 80;  // of a text
constexpr size_t kMostItems = 8;        // of a list, a tuple or a dictionary
constexpr uint64_t kMostSize = uint64_t{1} << 40;
constexpr uint64_t kMostDigits = 8;  // of an integer: 240 bits
constexpr unsigned kBitsOfDigit = 30;

std::string Unknown(RuntimeAddress object, std::string_view type) {
  return absl::StrFormat("<%s at %#x>", type, object.value());
}

std::string QuotedBytes(std::string_view bytes, bool is_cut) {
  std::string text = "b'";
  for (const char c : bytes) {
    if (c == '\\' || c == '\'') {
      absl::StrAppend(&text, "\\", std::string(1, c));
    } else if (c == '\n' || c == '\r' || c == '\t') {
      text += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
    } else if (c >= 0x20 && c < 0x7f) {
      text += c;
    } else {
      absl::StrAppendFormat(&text, "\\x%02x", static_cast<unsigned char>(c));
    }
  }
  return text + (is_cut ? "'..." : "'");
}

// Digits of 30 bits, the lowest first.
std::string DecimalText(std::array<uint32_t, kMostDigits> digits) {
  std::string text;
  while (std::ranges::any_of(digits, [](uint32_t digit) { return digit != 0; })) {
    uint64_t rest = 0;
    for (size_t i = digits.size(); i-- > 0;) {
      const uint64_t part = rest << kBitsOfDigit | digits[i];
      digits[i] = static_cast<uint32_t>(part / 10);
      rest = part % 10;
    }
    text += static_cast<char>('0' + static_cast<int>(rest));
  }
  std::ranges::reverse(text);
  return text.empty() ? "0" : text;
}

}  // namespace

std::string QuotedPython(std::string_view text, size_t most_characters) {
  const bool has_single = text.find('\'') != std::string_view::npos;
  const char quote = has_single && text.find('"') == std::string_view::npos ? '"' : '\'';
  std::string quoted(1, quote);
  size_t characters = 0;
  for (const char c : text) {
    const bool begins = (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    if (begins && ++characters > most_characters) {
      return quoted + quote + "...";
    }
    if (c == '\\' || c == quote) {
      quoted += '\\';
      quoted += c;
    } else if (c == '\n' || c == '\r' || c == '\t') {
      quoted += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      absl::StrAppendFormat(&quoted, "\\x%02x", static_cast<unsigned char>(c));
    } else {
      quoted += c;
    }
  }
  return quoted + quote;
}

std::string PythonFloatText(double value) {
  if (std::isnan(value)) {
    return "nan";
  }
  if (std::isinf(value)) {
    return value < 0 ? "-inf" : "inf";
  }
  std::array<char, 512> buffer;
  const double size = std::fabs(value);
  const bool is_plain = size == 0 || (size >= 1e-4 && size < 1e16);
  const auto end =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                    is_plain ? std::chars_format::fixed : std::chars_format::scientific);
  std::string text(buffer.data(), end.ptr);
  return is_plain && text.find('.') == std::string::npos ? text + ".0" : text;
}

std::string PythonValueText::IntText(RuntimeAddress object) const {
  const auto size = objects_->memory().ReadValue<int64_t>(object + layout_->int_size);
  if (!size) {
    return {};
  }
  const bool is_negative = layout_->int_has_tag ? (*size & 3) == 2 : *size < 0;
  const auto bits = static_cast<uint64_t>(*size);
  const uint64_t digits = layout_->int_has_tag ? bits >> 3 : *size < 0 ? 0 - bits : bits;
  if (digits > kMostDigits) {
    return absl::StrFormat("<int of %d to %d bits>", (digits - 1) * kBitsOfDigit + 1,
                           digits * kBitsOfDigit);
  }
  if (digits == 0 || (layout_->int_has_tag && (*size & 3) == 1)) {
    return "0";
  }
  std::array<uint32_t, kMostDigits> value{};
  for (uint64_t i = 0; i < digits; ++i) {
    const auto digit = objects_->memory().ReadValue<uint32_t>(object + layout_->int_digits + i * 4);
    if (!digit || *digit >> kBitsOfDigit != 0) {
      return {};
    }
    value[i] = *digit;
  }
  const std::string text = DecimalText(value);
  return (is_negative ? "-" : "") + text;
}

std::string PythonValueText::FloatText(RuntimeAddress object) const {
  const auto value = objects_->memory().ReadValue<double>(object + layout_->float_value);
  return value ? PythonFloatText(*value) : std::string();
}

std::string PythonValueText::Simple(RuntimeAddress object, std::string_view type) const {
  if (type == "NoneType") {
    return "None";
  }
  if (type == "bool") {
    const std::string value = IntText(object);
    return value.empty() ? value : value == "0" ? "False" : "True";
  }
  if (type == "int") {
    return IntText(object);
  }
  if (type == "float") {
    return FloatText(object);
  }
  if (type == "str") {
    const std::optional<std::string> text = objects_->ReadText(object);
    return text ? QuotedPython(*text, kMostCharacters) : std::string();
  }
  if (type == "bytes") {
    const auto size =
        objects_->memory().ReadValue<uint64_t>(object + objects_->layout().object_size);
    std::string bytes(std::min<uint64_t>(size.value_or(0), kMostCharacters), '\0');
    const std::span<std::byte> into = std::as_writable_bytes(std::span(bytes));
    const bool is_read = size && objects_->memory().Read(object + objects_->layout().bytes_data,
                                                         into) == into.size();
    return is_read ? QuotedBytes(bytes, *size > bytes.size()) : std::string();
  }
  return {};
}

std::string PythonValueText::SequenceText(RuntimeAddress object, bool is_list) const {
  const auto size = objects_->memory().ReadValue<uint64_t>(object + objects_->layout().object_size);
  std::optional<RuntimeAddress> items = object + layout_->tuple_items;
  if (is_list) {
    items = objects_->ReadPointer(object + layout_->list_items);
  }
  if (!size || !items || *size > kMostSize) {
    return {};
  }
  std::string text = is_list ? "[" : "(";
  for (uint64_t i = 0; i < std::min<uint64_t>(*size, kMostItems); ++i) {
    const std::optional<RuntimeAddress> item = objects_->ReadPointer(*items + i * 8);
    if (!item) {
      return {};
    }
    absl::StrAppend(&text, i == 0 ? "" : ", ", Value(*item, /*opens=*/false));
  }
  if (*size > kMostItems) {
    absl::StrAppend(&text, ", ... ", *size - kMostItems, " more");
  } else if (*size == 1 && !is_list) {
    text += ',';
  }
  return text + (is_list ? "]" : ")");
}

std::string PythonValueText::DictionaryText(RuntimeAddress dictionary) const {
  std::vector<PythonItem> items;
  const std::optional<uint64_t> size =
      ReadDictionaryItems(*objects_, dictionary, kMostItems, items);
  if (!size) {
    return {};
  }
  std::string text = "{";
  for (const PythonItem& item : items) {
    absl::StrAppend(&text, text.size() == 1 ? "" : ", ", Value(item.key, /*opens=*/false), ": ",
                    Value(item.value, /*opens=*/false));
  }
  if (*size > items.size()) {
    absl::StrAppend(&text, ", ... ", *size - items.size(), " more");
  }
  return text + "}";
}

std::string PythonValueText::Value(RuntimeAddress object, bool opens) const {
  const std::optional<RuntimeAddress> type = objects_->TypeOf(object);
  const std::optional<std::string> name =
      type ? objects_->NameOfType(*type) : std::optional<std::string>();
  if (!name) {
    return absl::StrFormat("<unreadable at %#x>", object.value());
  }
  std::string text = Simple(object, *name);
  if (text.empty() && opens && (*name == "list" || *name == "tuple")) {
    text = SequenceText(object, *name == "list");
  } else if (text.empty() && opens && *name == "dict") {
    text = DictionaryText(object);
  }
  return text.empty() ? Unknown(object, *name) : text;
}

std::string PythonValueText::Text(RuntimeAddress object) const {
  return Value(object, /*opens=*/true);
}

}  // namespace whyslow
