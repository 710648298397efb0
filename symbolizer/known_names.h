// The names of many addresses of one module in the form in which they are kept in a file.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_reader.h"
#include "symbolizer/module_names.h"

namespace whyslow {

// Names as they stand in the file; texts are copied only for functions that are asked for.
class KnownNames {
 public:
  // Knows nothing.
  KnownNames() = default;

  // nullopt: damaged, or kept under another key. `key` is whatever the names depend on.
  static std::optional<KnownNames> Unpack(std::string bytes, std::string_view key);

  // lines[i] of `names` belongs to addresses[i] (sorted). Equal functions and texts stand there
  // once. Empty where that takes more than 4 GiB.
  static std::string Pack(std::string_view key, std::span<const uint64_t> addresses,
                          const NamedAddresses& names);

  const std::vector<uint64_t>& addresses() const { return addresses_; }
  bool has_debug_information() const { return has_debug_information_; }
  size_t function_count() const { return functions_.size(); }
  // Innermost first; for addresses()[row].
  std::span<const NamedLine> LinesOf(size_t row) const;
  NamedFunction FunctionAt(uint32_t row) const;

 private:
  struct PackedFunction {
    uint32_t name = 0;
    uint32_t system_name = 0;
    uint32_t file = 0;
    int64_t start_line = 0;
  };

  bool ReadFrom(std::string_view key);
  bool ReadAddresses(ByteReader& reader, uint64_t count, uint64_t line_count);
  bool ReadLines(ByteReader& reader, uint64_t count, uint64_t function_count);
  bool ReadFunctions(ByteReader& reader, uint64_t count, uint64_t text_count);
  bool ReadTexts(ByteReader& reader, uint64_t count);
  std::string_view TextAt(uint32_t row) const;

  std::string bytes_;
  bool has_debug_information_ = false;
  std::vector<uint64_t> addresses_;
  std::vector<uint32_t> line_ends_;  // of each address, in lines_
  std::vector<NamedLine> lines_;
  std::vector<PackedFunction> functions_;
  std::vector<uint32_t> text_ends_;  // of each text, counted from text_begin_
  uint64_t text_begin_ = 0;          // in bytes_
};

// The names of `which` (sorted) out of what is known and what was found for `missing` (sorted, none
// of them known). Functions stand in the order of their first use, whatever the source.
NamedAddresses JoinNames(std::span<const uint64_t> which, const KnownNames& known,
                         std::span<const uint64_t> missing, const NamedAddresses& found);

}  // namespace whyslow
