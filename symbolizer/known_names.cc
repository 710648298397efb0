#include "symbolizer/known_names.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

#include "base/byte_reader.h"

namespace whyslow {
namespace {

// The file, little-endian: size of the key (4 bytes), key, 1 byte "has debug information", then the
// numbers of addresses, lines, functions and texts (4 bytes each), then
//   addresses  8 bytes each, ascending
//   line ends  4 bytes each: where the lines of each address end
//   lines      function 4, line 8, column 8
//   functions  name 4, system name 4, file 4 (texts), start line 8
//   text ends  4 bytes each
//   texts      one after the other
class Packer {
 public:
  std::string Pack(std::string_view key, std::span<const uint64_t> addresses,
                   const NamedAddresses& names) {
    Number(key.size(), 4);
    out_ += key;
    Number(names.has_debug_information ? 1 : 0, 1);
    const std::vector<uint32_t> rows = PackFunctions(names.functions);
    size_t line_count = 0;
    for (const std::vector<NamedLine>& lines : names.lines) {
      line_count += lines.size();
    }
    for (const size_t count : {addresses.size(), line_count, functions_.size(), texts_.size()}) {
      Number(count, 4);
    }
    for (const uint64_t address : addresses) {
      Number(address, 8);
    }
    size_t line_end = 0;
    for (const std::vector<NamedLine>& lines : names.lines) {
      Number(line_end += lines.size(), 4);
    }
    for (const std::vector<NamedLine>& lines : names.lines) {
      for (const NamedLine& line : lines) {
        Number(rows[line.function], 4);
        Number(static_cast<uint64_t>(line.line), 8);
        Number(static_cast<uint64_t>(line.column), 8);
      }
    }
    WriteFunctionsAndTexts();
    constexpr size_t kMost = std::numeric_limits<uint32_t>::max();
    return out_.size() <= kMost ? std::move(out_) : std::string();
  }

 private:
  using FunctionKey = std::tuple<uint32_t, uint32_t, uint32_t, int64_t>;

  void Number(uint64_t value, unsigned size) {
    out_.append(reinterpret_cast<const char*>(&value), size);
  }

  std::vector<uint32_t> PackFunctions(const std::vector<NamedFunction>& functions) {
    std::vector<uint32_t> rows;
    rows.reserve(functions.size());
    for (const NamedFunction& function : functions) {
      const FunctionKey key(Text(function.name), Text(function.system_name), Text(function.file),
                            function.start_line);
      const auto [row, is_new] =
          function_rows_.try_emplace(key, static_cast<uint32_t>(functions_.size()));
      if (is_new) {
        functions_.push_back(key);
      }
      rows.push_back(row->second);
    }
    return rows;
  }

  uint32_t Text(std::string_view text) {
    const auto [row, is_new] = text_rows_.try_emplace(text, static_cast<uint32_t>(texts_.size()));
    if (is_new) {
      texts_.push_back(text);
    }
    return row->second;
  }

  void WriteFunctionsAndTexts() {
    for (const auto& [name, system_name, file, start_line] : functions_) {
      Number(name, 4);
      Number(system_name, 4);
      Number(file, 4);
      Number(static_cast<uint64_t>(start_line), 8);
    }
    size_t text_end = 0;
    for (const std::string_view text : texts_) {
      Number(text_end += text.size(), 4);
    }
    for (const std::string_view text : texts_) {
      out_ += text;
    }
  }

  std::string out_;
  absl::flat_hash_map<std::string_view, uint32_t> text_rows_;
  std::vector<std::string_view> texts_;
  absl::flat_hash_map<FunctionKey, uint32_t> function_rows_;
  std::vector<FunctionKey> functions_;
};

constexpr uint32_t kNoFunction = ~uint32_t{0};

}  // namespace

std::string KnownNames::Pack(std::string_view key, std::span<const uint64_t> addresses,
                             const NamedAddresses& names) {
  return Packer().Pack(key, addresses, names);
}

std::optional<KnownNames> KnownNames::Unpack(std::string bytes, std::string_view key) {
  KnownNames names;
  names.bytes_ = std::move(bytes);
  return names.ReadFrom(key) ? std::optional(std::move(names)) : std::nullopt;
}

bool KnownNames::ReadFrom(std::string_view key) {
  ByteReader reader(std::as_bytes(std::span(bytes_)));
  const std::span<const std::byte> kept_key = reader.Block(reader.U32());
  if (!std::ranges::equal(kept_key, std::as_bytes(std::span(key)))) {
    return false;
  }
  has_debug_information_ = reader.U8() != 0;
  const uint64_t address_count = reader.U32();
  const uint64_t line_count = reader.U32();
  const uint64_t function_count = reader.U32();
  const uint64_t text_count = reader.U32();
  return ReadAddresses(reader, address_count, line_count) &&
         ReadLines(reader, line_count, function_count) &&
         ReadFunctions(reader, function_count, text_count) && ReadTexts(reader, text_count);
}

bool KnownNames::ReadAddresses(ByteReader& reader, uint64_t count, uint64_t line_count) {
  if (count > reader.remaining() / 12) {
    return false;
  }
  addresses_.resize(count);
  line_ends_.resize(count);
  for (uint64_t& address : addresses_) {
    address = reader.U64();
  }
  for (uint32_t& end : line_ends_) {
    end = reader.U32();
  }
  return std::ranges::adjacent_find(addresses_, std::greater_equal<>()) == addresses_.end() &&
         std::ranges::is_sorted(line_ends_) &&
         line_count == (line_ends_.empty() ? 0 : line_ends_.back());
}

bool KnownNames::ReadLines(ByteReader& reader, uint64_t count, uint64_t function_count) {
  if (count > reader.remaining() / 20) {
    return false;
  }
  lines_.resize(count);
  for (NamedLine& line : lines_) {
    line.function = reader.U32();
    line.line = static_cast<int64_t>(reader.U64());
    line.column = static_cast<int64_t>(reader.U64());
  }
  return std::ranges::all_of(lines_,
                             [&](const NamedLine& line) { return line.function < function_count; });
}

bool KnownNames::ReadFunctions(ByteReader& reader, uint64_t count, uint64_t text_count) {
  if (count > reader.remaining() / 20) {
    return false;
  }
  functions_.resize(count);
  for (PackedFunction& function : functions_) {
    function.name = reader.U32();
    function.system_name = reader.U32();
    function.file = reader.U32();
    function.start_line = static_cast<int64_t>(reader.U64());
  }
  return std::ranges::all_of(functions_, [&](const PackedFunction& function) {
    return std::max({function.name, function.system_name, function.file}) < text_count;
  });
}

bool KnownNames::ReadTexts(ByteReader& reader, uint64_t count) {
  if (count > reader.remaining() / 4) {
    return false;
  }
  text_ends_.resize(count);
  for (uint32_t& end : text_ends_) {
    end = reader.U32();
  }
  text_begin_ = reader.position();
  return reader.ok() && std::ranges::is_sorted(text_ends_) &&
         reader.remaining() == (text_ends_.empty() ? 0 : text_ends_.back());
}

std::span<const NamedLine> KnownNames::LinesOf(size_t row) const {
  const uint32_t begin = row == 0 ? 0 : line_ends_[row - 1];
  return std::span(lines_).subspan(begin, line_ends_[row] - begin);
}

std::string_view KnownNames::TextAt(uint32_t row) const {
  const uint32_t begin = row == 0 ? 0 : text_ends_[row - 1];
  return std::string_view(bytes_).substr(text_begin_ + begin, text_ends_[row] - begin);
}

NamedFunction KnownNames::FunctionAt(uint32_t row) const {
  const PackedFunction& function = functions_[row];
  return {.name = std::string(TextAt(function.name)),
          .system_name = std::string(TextAt(function.system_name)),
          .file = std::string(TextAt(function.file)),
          .start_line = function.start_line};
}

NamedAddresses JoinNames(std::span<const uint64_t> which, const KnownNames& known,
                         std::span<const uint64_t> missing, const NamedAddresses& found) {
  NamedAddresses joined{.has_debug_information =
                            known.has_debug_information() || found.has_debug_information};
  joined.lines.resize(which.size());
  std::vector<uint32_t> known_rows(known.function_count(), kNoFunction);
  std::vector<uint32_t> found_rows(found.functions.size(), kNoFunction);
  const auto append = [&](std::vector<NamedLine>& into, std::span<const NamedLine> lines,
                          std::vector<uint32_t>& rows, auto function_at) {
    for (NamedLine line : lines) {
      uint32_t& row = rows[line.function];
      if (row == kNoFunction) {
        row = static_cast<uint32_t>(joined.functions.size());
        joined.functions.push_back(function_at(line.function));
      }
      line.function = row;
      into.push_back(line);
    }
  };
  size_t at_known = 0;
  size_t at_found = 0;
  for (size_t i = 0; i < which.size(); ++i) {
    while (at_known < known.addresses().size() && known.addresses()[at_known] < which[i]) {
      ++at_known;
    }
    while (at_found < missing.size() && missing[at_found] < which[i]) {
      ++at_found;
    }
    if (at_found < missing.size() && missing[at_found] == which[i]) {
      append(joined.lines[i], found.lines[at_found], found_rows,
             [&](uint32_t row) { return found.functions[row]; });
    } else if (at_known < known.addresses().size() && known.addresses()[at_known] == which[i]) {
      append(joined.lines[i], known.LinesOf(at_known), known_rows,
             [&](uint32_t row) { return known.FunctionAt(row); });
    }
  }
  return joined;
}

}  // namespace whyslow
