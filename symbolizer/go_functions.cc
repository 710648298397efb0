// The layout: Go's runtime/symtab.go (pcHeader), runtime/runtime2.go (_func) and, for the encoding
// of the tables of values by address, "Go 1.2 Runtime Symbol Information"
// (golang.org/s/go12symtab).
#include "symbolizer/go_functions.h"

#include <array>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "base/byte_reader.h"

namespace whyslow {
namespace {

constexpr uint32_t kMagic118 = 0xfffffff0;  // Go 1.18, 1.19
constexpr uint32_t kMagic120 = 0xfffffff1;  // since Go 1.20

// pcHeader. Offsets count from its start.
struct Header {
  uint32_t magic = 0;
  uint8_t quantum = 1;  // instructions are a multiple of so many bytes
  uint64_t function_count = 0;
  uint64_t text = 0;  // address of the first function; 0 since Go 1.26, and in PIE
  uint64_t names = 0;
  uint64_t units = 0;
  uint64_t files = 0;
  uint64_t values = 0;  // by address
  uint64_t functions = 0;
};

std::optional<Header> ReadHeader(std::span<const std::byte> table) {
  ByteReader reader(table);
  Header header{.magic = reader.U32()};
  reader.Skip(2);
  header.quantum = reader.U8();
  const uint8_t pointer_size = reader.U8();
  header.function_count = reader.U64();
  reader.U64();  // number of files
  header.text = reader.U64();
  for (uint64_t* offset :
       {&header.names, &header.units, &header.files, &header.values, &header.functions}) {
    *offset = reader.U64();
    if (*offset > table.size()) {
      return std::nullopt;
    }
  }
  const bool is_known = header.magic == kMagic118 || header.magic == kMagic120;
  constexpr uint64_t kRowSize = 8;
  if (!reader.ok() || !is_known || pointer_size != sizeof(uint64_t) || header.quantum == 0 ||
      header.function_count >= (table.size() - header.functions) / kRowSize) {
    return std::nullopt;
  }
  return header;
}

// _func as far as it is of interest.
struct Function {
  uint64_t name = 0;  // offset into the names
  uint32_t file_values = 0;
  uint32_t line_values = 0;
  uint32_t unit = 0;  // index into the units: the first of its file numbers
  int64_t start_line = 0;
};

class GoTable {
 public:
  GoTable(std::span<const std::byte> bytes, const Header& header)
      : bytes_(bytes), header_(header) {}

  uint64_t size() const { return header_.function_count; }
  // Counted from the start of the text. The row after the last one tells where that ends.
  uint32_t StartOf(uint64_t row) const { return At(header_.functions + row * 8).U32(); }

  std::string_view NameOf(const Function& function) const {
    return TextAt(bytes_, header_.names + function.name);
  }

  Function FunctionOf(uint64_t row) const {
    ByteReader reader = At(header_.functions + At(header_.functions + row * 8 + 4).U32());
    Function function;
    reader.U32();  // entry
    function.name = reader.U32();
    reader.Skip(4 + 4 + 4);  // size of arguments, defer, stack sizes
    function.file_values = reader.U32();
    function.line_values = reader.U32();
    reader.Skip(4);  // number of further tables
    function.unit = reader.U32();
    if (header_.magic == kMagic120) {
      function.start_line = reader.Fixed<int32_t>();
    }
    return reader.ok() ? function : Function{};
  }

  // The last function that starts at or before that distance from the text's start.
  std::optional<uint64_t> Find(uint64_t distance) const {
    uint64_t low = 0, high = size();
    if (high == 0 || distance < StartOf(0) || distance >= StartOf(high)) {
      return std::nullopt;
    }
    while (high - low > 1) {
      const uint64_t middle = low + (high - low) / 2;
      (StartOf(middle) <= distance ? low : high) = middle;
    }
    return low;
  }

  // A list of (change of value, bytes that it holds for), both LEB128, the first one zigzag.
  std::optional<int32_t> ValueAt(uint32_t list, uint64_t into_function) const {
    if (list == 0) {
      return std::nullopt;
    }
    ByteReader reader = At(header_.values + list);
    uint32_t value = ~uint32_t{0};
    uint64_t end = 0;
    constexpr int kMaxSteps = 200'000;  // no real function has as many
    for (int step = 0; step < kMaxSteps && reader.ok(); ++step) {
      const auto change = static_cast<uint32_t>(reader.Uleb());
      if (change == 0 && step > 0) {
        return std::nullopt;
      }
      value += (change >> 1) ^ (0 - (change & 1));
      end += reader.Uleb() * header_.quantum;
      if (reader.ok() && into_function < end) {
        return static_cast<int32_t>(value);
      }
    }
    return std::nullopt;
  }

  std::string_view FileOf(const Function& function, int32_t number) const {
    if (number < 0) {
      return {};
    }
    const uint64_t unit = uint64_t{function.unit} + static_cast<uint32_t>(number);
    const uint32_t offset = At(header_.units + unit * sizeof(uint32_t)).U32();
    return offset == ~uint32_t{0} ? std::string_view() : TextAt(bytes_, header_.files + offset);
  }

  // Where the text starts if that function lies at that address.
  std::optional<uint64_t> TextStartBy(std::string_view name, uint64_t address) const {
    for (uint64_t row = 0; row < size(); ++row) {
      if (HasName(FunctionOf(row), name)) {
        return address - StartOf(row);
      }
    }
    return std::nullopt;
  }

 private:
  // Without looking for the end of a name that may be damaged.
  bool HasName(const Function& function, std::string_view name) const {
    const std::span<const std::byte> text =
        At(header_.names + function.name).Block(name.size() + 1);
    return !text.empty() && text.back() == std::byte{0} &&
           std::memcmp(text.data(), name.data(), name.size()) == 0;
  }
  ByteReader At(uint64_t offset) const { return ByteReader(bytes_, offset); }

  std::span<const std::byte> bytes_;
  Header header_;
};

// runtime.moduledata begins with the address of the table; further on come the bounds of the text.
std::optional<uint64_t> TextStartInModuleData(const ElfFile& elf, uint64_t table_address) {
  constexpr uint64_t kTextAt = 8 + 6 * 24 + 3 * 8;  // after six slices, a pointer, two bounds
  for (const char* name : {".go.module", ".noptrdata", ".data", ".data.rel.ro"}) {
    const ElfSection* section = elf.FindSection(name);
    if (section == nullptr) {
      continue;
    }
    const absl::StatusOr<SectionBytes> data = elf.ReadSection(*section);
    if (!data.ok()) {
      continue;
    }
    const std::span<const std::byte> bytes = data->bytes();
    for (uint64_t at = 0; at + kTextAt + 16 <= bytes.size(); at += sizeof(uint64_t)) {
      if (ByteReader(bytes, at).U64() == table_address) {
        ByteReader bounds(bytes, at + kTextAt - 16);
        const uint64_t lowest = bounds.U64(), end = bounds.U64(), text = bounds.U64();
        if (lowest >= text && end > lowest && bounds.U64() >= end) {
          return text;
        }
      }
    }
  }
  return std::nullopt;
}

std::optional<uint64_t> FindTextStart(const ElfFile& elf, const ElfSection& section,
                                      const Header& header, const GoTable& table) {
  if (header.text != 0) {
    return header.text;
  }
  // Go's own linker enters the program here.
  const std::string_view entry =
      elf.machine() == EM_AARCH64 ? "_rt0_arm64_linux" : "_rt0_amd64_linux";
  const std::optional<uint64_t> start = table.TextStartBy(entry, elf.entry().value());
  const ElfSection* text = elf.FindSection(".text");
  if (start && text != nullptr && *start == text->address.value()) {
    return start;
  }
  return TextStartInModuleData(elf, section.address.value());
}

GoHit HitOf(const GoTable& table, uint64_t distance) {
  GoHit hit;
  const std::optional<uint64_t> row = table.Find(distance);
  if (!row) {
    return hit;
  }
  const Function function = table.FunctionOf(*row);
  hit.name = table.NameOf(function);
  hit.start_line = function.start_line;
  const uint64_t into = distance - table.StartOf(*row);
  hit.line = table.ValueAt(function.line_values, into).value_or(0);
  const std::optional<int32_t> file = table.ValueAt(function.file_values, into);
  hit.file = file ? table.FileOf(function, *file) : std::string_view();
  return hit;
}

}  // namespace

std::vector<GoHit> FindGoFunctions(const ElfFile& elf, std::span<const uint64_t> wanted) {
  std::vector<GoHit> hits(wanted.size());
  const ElfSection* section = elf.FindGoTable();
  if (section == nullptr) {
    return hits;
  }
  const absl::StatusOr<SectionBytes> content = elf.ReadSection(*section);
  const std::optional<Header> header =
      content.ok() ? ReadHeader(content->bytes()) : std::optional<Header>();
  if (!header) {
    return hits;
  }
  const GoTable table(content->bytes(), *header);
  const std::optional<uint64_t> text = FindTextStart(elf, *section, *header, table);
  for (size_t i = 0; text && i < wanted.size(); ++i) {
    if (wanted[i] >= *text) {
      hits[i] = HitOf(table, wanted[i] - *text);
    }
  }
  return hits;
}

}  // namespace whyslow
