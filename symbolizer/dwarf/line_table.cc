#include "symbolizer/dwarf/line_table.h"

#include <algorithm>

#include "symbolizer/dwarf/dwarf_constants.h"

namespace whyslow {
namespace {

using namespace dwarf;  // NOLINT(google-build-using-namespace): the standard's numbers

// Longer than any path that a system opens; a hostile one would be built again for each file.
constexpr size_t kMaxName = 4096;

std::string Join(std::string_view directory, std::string_view name) {
  if (directory.empty() || name.starts_with('/')) {
    return std::string(name);
  }
  return std::string(directory) + "/" + std::string(name);
}

}  // namespace

std::string NormalizePath(std::string_view path) {
  const bool absolute = path.starts_with('/');
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    const size_t slash = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, slash);
    path.remove_prefix(std::min(slash + 1, path.size()));
    if (part.empty() || part == ".") {
      continue;
    }
    if (part == ".." && !parts.empty() && parts.back() != "..") {
      parts.pop_back();
    } else if (part != ".." || !absolute) {
      parts.push_back(part);
    }
  }
  std::string result = absolute ? "/" : "";
  for (size_t i = 0; i < parts.size(); ++i) {
    result += i == 0 ? "" : "/";
    result += parts[i];
  }
  return result;
}

std::optional<LineTable> LineTable::Parse(const DwarfUnit& unit, WorkBudget& budget) {
  if (!unit.line_offset) {
    return std::nullopt;
  }
  LineTable table(*unit.address_sections);
  table.names_ = unit;
  table.names_.sections = unit.address_sections;
  table.comp_dir_ = unit.Text(unit.comp_dir).substr(0, kMaxName);
  if (!table.ParseHeader(unit, budget)) {
    return std::nullopt;
  }
  return table;
}

bool LineTable::ParseHeader(const DwarfUnit& unit, WorkBudget& budget) {
  ByteReader reader(sections_->line.bytes(), *unit.line_offset);
  uint64_t length = reader.U32();
  format_ = unit.format;
  format_.offset_size = 4;
  if (length == 0xFFFFFFFF) {
    length = reader.U64();
    format_.offset_size = 8;
  }
  if (!reader.ok() || length > reader.remaining()) {
    return false;
  }
  program_end_ = reader.position() + length;
  reader.EndAt(program_end_);
  format_.version = reader.U16();
  if (format_.version < 2 || format_.version > 5) {
    return false;
  }
  if (format_.version >= 5) {
    format_.address_size = reader.U8();
    reader.U8();  // segment selectors, which nobody has
  }
  const uint64_t header_length = reader.Unsigned(format_.offset_size);
  if (!reader.ok() || header_length > reader.remaining()) {
    return false;
  }
  program_begin_ = reader.position() + header_length;
  min_instruction_ = reader.U8();
  if (format_.version >= 4) {
    reader.U8();  // operations per instruction: 1 but on VLIW processors
  }
  reader.U8();  // is_stmt at the start: every row is good enough for a name
  line_base_ = static_cast<int8_t>(reader.U8());
  line_range_ = reader.U8();
  opcode_base_ = reader.U8();
  for (unsigned i = 1; i < opcode_base_; ++i) {
    operand_counts_.push_back(reader.U8());
  }
  if (!reader.ok() || line_range_ == 0 || opcode_base_ == 0) {
    return false;
  }
  return format_.version >= 5
             ? ParseEntries(reader, budget, directories_) && ParseEntries(reader, budget, files_)
             : ParseOldFiles(reader, budget);
}

bool LineTable::ParseOldFiles(ByteReader& reader, WorkBudget& budget) {
  // Number 0 is the compilation's directory; file 0 does not exist.
  directories_.push_back({});
  files_.push_back({});
  for (auto* list : {&directories_, &files_}) {
    while (reader.ok() && budget.Spend(1)) {
      FileEntry entry{.name = {AttributeValue::Kind::kTextInline, reader.position()}};
      if (reader.CString().empty()) {
        break;
      }
      if (list == &files_) {
        entry.directory = reader.Uleb();
        reader.SkipLeb();  // time of change
        reader.SkipLeb();  // size
      }
      list->push_back(entry);
    }
  }
  return reader.ok();
}

bool LineTable::ParseEntries(ByteReader& reader, WorkBudget& budget,
                             std::vector<FileEntry>& out) const {
  std::vector<AttributeSpec> specs(reader.U8());
  for (AttributeSpec& spec : specs) {
    spec.name = static_cast<uint16_t>(std::min<uint64_t>(reader.Uleb(), 0xFFFF));
    spec.form = static_cast<uint16_t>(std::min<uint64_t>(reader.Uleb(), 0xFFFF));
  }
  const uint64_t count = reader.Uleb();
  // Every entry takes at least a byte, so that a count beyond the section is a lie.
  if (!reader.ok() || count > reader.remaining() || (specs.empty() && count != 0)) {
    return false;
  }
  for (uint64_t i = 0; i < count && budget.Spend(specs.size()); ++i) {
    FileEntry entry;
    for (const AttributeSpec& spec : specs) {
      if (spec.name == kLnctPath) {
        entry.name = ReadForm(reader, spec, format_, 0);
      } else if (spec.name == kLnctDirectoryIndex) {
        entry.directory = ReadForm(reader, spec, format_, 0).value;
      } else {
        SkipForm(reader, spec.form, format_);
      }
    }
    if (!reader.ok()) {
      return false;
    }
    out.push_back(entry);
  }
  return true;
}

std::string_view LineTable::Text(AttributeValue value) const {
  if (value.kind == AttributeValue::Kind::kTextInline) {
    return TextAt(sections_->line.bytes(), value.value);
  }
  return names_.Text(value);
}

std::string LineTable::Directory(uint64_t index) const {
  if (index >= directories_.size()) {
    return std::string(comp_dir_);
  }
  const std::string_view text = Text(directories_[index].name).substr(0, kMaxName);
  if (text.starts_with('/')) {
    return std::string(text);
  }
  const std::string root =
      index == 0 || format_.version < 5 ? std::string(comp_dir_) : Directory(0);
  // Directory 0 of DWARF 5 repeats the compilation's directory, also where it is relative.
  return text.empty() || text == comp_dir_ ? root : Join(root, text);
}

std::string LineTable::Path(uint64_t file) const {
  if (file >= files_.size()) {
    return {};
  }
  const std::string_view name = Text(files_[file].name).substr(0, kMaxName);
  if (name.empty()) {
    return {};
  }
  return NormalizePath(Join(Directory(files_[file].directory), name));
}

// The state machine of the standard. It keeps no rows: each stretch between two of them is matched
// with the wanted addresses at once.
class LineTable::Machine {
 public:
  Machine(const LineTable& table, std::span<const uint64_t> wanted, const CodeRanges& code,
          WorkBudget& budget, std::span<LineRow> rows)
      : table_(table), wanted_(wanted), code_(code), budget_(budget), rows_(rows) {}

  void Run() {
    ByteReader reader(table_.sections_->line.bytes(), table_.program_begin_);
    reader.EndAt(table_.program_end_);
    while (!reader.at_end() && reader.ok()) {
      Step(reader);
    }
  }

 private:
  // Set back at the start of each sequence.
  struct Registers {
    uint64_t address = 0;
    uint64_t file = 1;
    uint32_t line = 1;
    uint32_t column = 0;
    bool has_row = false;
    bool dead = false;
  };

  void Step(ByteReader& reader) {
    const uint8_t opcode = reader.U8();
    if (opcode >= table_.opcode_base_) {
      const unsigned adjusted = opcode - unsigned{table_.opcode_base_};
      Advance(adjusted / table_.line_range_);
      registers_.line += static_cast<uint32_t>(table_.line_base_ +
                                               static_cast<int>(adjusted % table_.line_range_));
      EmitRow();
      return;
    }
    switch (opcode) {
      case kLnsExtended:
        return StepExtended(reader);
      case kLnsCopy:
        return EmitRow();
      case kLnsAdvancePc:
        return Advance(reader.Uleb());
      case kLnsAdvanceLine:
        registers_.line += static_cast<uint32_t>(reader.Sleb());
        return;
      case kLnsSetFile:
        registers_.file = reader.Uleb();
        return;
      case kLnsSetColumn:
        registers_.column = static_cast<uint32_t>(reader.Uleb());
        return;
      case kLnsConstAddPc:
        return Advance((255U - table_.opcode_base_) / table_.line_range_);
      case kLnsFixedAdvancePc:
        registers_.address += reader.U16();
        return;
      default:
        for (unsigned i = 0; i < table_.operand_counts_[opcode - 1U]; ++i) {
          reader.SkipLeb();
        }
    }
  }

  void StepExtended(ByteReader& reader) {
    const uint64_t length = reader.Uleb();
    const uint64_t next = reader.position() + length;
    if (length == 0 || length > reader.remaining()) {
      return;
    }
    switch (reader.U8()) {
      case kLneEndSequence:
        EmitRow();
        registers_ = {};
        break;
      case kLneSetAddress:
        if (length == 5 || length == 9) {
          registers_.address = reader.Unsigned(static_cast<unsigned>(length) - 1);
        }
        // Sequences of dropped code start outside of any code.
        registers_.dead = !registers_.has_row && !code_.Contains(registers_.address);
        break;
      default:  // a file (none needs it), a discriminator, or a vendor's
        break;
    }
    reader.Seek(next);
  }

  void Advance(uint64_t operations) { registers_.address += operations * table_.min_instruction_; }

  void EmitRow() {
    if (registers_.dead) {
      return;
    }
    if (registers_.has_row) {
      if (next_ < wanted_.size() && wanted_[next_] < registers_.address) {
        Match();
      }
      // The standard lets addresses only grow within a sequence.
      registers_.dead = registers_.address < row_address_;
    } else {
      Find(registers_.address);
    }
    registers_.has_row = true;
    row_address_ = registers_.address;
    row_ = {.found = true,
            .file = registers_.file,
            .line = registers_.line,
            .column = registers_.column};
  }

  void Find(uint64_t address) {
    next_ = static_cast<size_t>(std::ranges::lower_bound(wanted_, address) - wanted_.begin());
  }

  void Match() {
    const size_t first = next_;
    for (; next_ < wanted_.size() && wanted_[next_] < registers_.address; ++next_) {
      if (!rows_[next_].found) {
        rows_[next_] = row_;
      }
    }
    // Overlapping sequences could make us go over the same addresses again and again.
    registers_.dead = !budget_.Spend(next_ - first);
  }

  const LineTable& table_;
  std::span<const uint64_t> wanted_;
  const CodeRanges& code_;
  WorkBudget& budget_;
  std::span<LineRow> rows_;

  Registers registers_;
  uint64_t row_address_ = 0;
  LineRow row_;
  size_t next_ = 0;  // the first wanted address that is not before row_address_
};

void LineTable::Resolve(std::span<const uint64_t> wanted, const CodeRanges& code,
                        WorkBudget& budget, std::span<LineRow> rows) const {
  if (budget.Spend(program_end_ - program_begin_)) {
    Machine(*this, wanted, code, budget, rows).Run();
  }
}

}  // namespace whyslow
