#include "symbolizer/dwarf/scope_walker.h"

#include <algorithm>

#include "symbolizer/dwarf/dwarf_constants.h"

namespace whyslow {
namespace {

using namespace dwarf;  // NOLINT(google-build-using-namespace): the standard's numbers

// Deeper than any compiler nests; bounds what a hostile file can make us keep.
constexpr size_t kMaxDepth = 4096;
constexpr uint32_t kMaxInlineDepth = 256;

// In C and C++ a type outside of any function only declares its functions. Rust, D and Swift define
// them there.
bool TypesHoldCode(uint16_t language) {
  return language == kLangRust || language == kLangSwift || language == kLangD;
}

class ScopeWalker {
 public:
  ScopeWalker(const DwarfUnit& unit, std::span<const uint64_t> wanted, const CodeRanges& code,
              WorkBudget& budget, std::span<std::vector<CodeScope>> scopes)
      : unit_(unit),
        wanted_(wanted),
        code_(code),
        budget_(budget),
        scopes_(scopes),
        types_hold_code_(TypesHoldCode(unit.language)) {}

  void Walk() {
    if (unit_.abbreviations == nullptr || !budget_.Spend(unit_.end - unit_.entries)) {
      return;
    }
    reader_ = unit_.ReaderAt(unit_.entries);
    levels_.push_back({});
    while (!reader_.at_end() && reader_.ok()) {
      const uint64_t entry = reader_.position();
      const uint64_t code = reader_.Uleb();
      if (code == 0) {
        if (levels_.size() > 1) {
          levels_.pop_back();
        }
        continue;
      }
      const Abbreviation* row = unit_.abbreviations->Find(code);
      if (row == nullptr || levels_.size() > kMaxDepth) {
        return;
      }
      Visit(entry, *row);
    }
  }

 private:
  // What the entries at one depth of the tree stand in.
  struct Level {
    bool in_function = false;
    bool wanted = false;  // the innermost function holds wanted addresses
    uint64_t function = 0;
    uint32_t depth = 0;  // of inlined functions
  };

  struct Code {
    AttributeValue low;
    AttributeValue high;
    AttributeValue ranges;
    AttributeValue call_file;
    AttributeValue call_line;
    AttributeValue call_column;
    AttributeValue origin;
    uint64_t sibling = 0;
  };

  void Visit(uint64_t entry, const Abbreviation& row) {
    const Level& level = levels_.back();
    switch (row.role) {
      case EntryRole::kFunction:
        return VisitFunction(entry, row);
      case EntryRole::kInlined:
        if (level.wanted && level.depth < kMaxInlineDepth) {
          return VisitInlined(entry, row);
        }
        break;
      case EntryRole::kScope:
        return Descend(row);
      case EntryRole::kType:
        if (level.in_function || types_hold_code_) {
          return Descend(row);
        }
        break;
      case EntryRole::kOther:
        break;
    }
    SkipTree(row);
  }

  void Descend(const Abbreviation& row) {
    SkipAttributes(reader_, *unit_.abbreviations, row, unit_.format);
    if (row.has_children) {
      levels_.push_back(Level(levels_.back()));
    }
  }

  // Jumps over the children where the entry says where they end; else they are walked like others.
  void SkipTree(const Abbreviation& row) {
    if (!row.has_children || !row.has_sibling) {
      return Descend(row);
    }
    uint64_t sibling = 0;
    for (const AttributeSpec& spec : unit_.abbreviations->AttributesOf(row)) {
      if (spec.name == kAtSibling) {
        sibling = ReadForm(reader_, spec, unit_.format, unit_.offset).value;
        break;
      }
      SkipForm(reader_, spec.form, unit_.format);
    }
    JumpTo(sibling);
  }

  void JumpTo(uint64_t sibling) {
    if (sibling <= reader_.position()) {
      return reader_.Fail();  // backwards: the walk would not end
    }
    reader_.Seek(sibling);
  }

  Code ReadCode(const Abbreviation& row) {
    Code code;
    for (const AttributeSpec& spec : unit_.abbreviations->AttributesOf(row)) {
      AttributeValue* into = nullptr;
      switch (spec.name) {
        case kAtLowPc:
          into = &code.low;
          break;
        case kAtHighPc:
          into = &code.high;
          break;
        case kAtRanges:
          into = &code.ranges;
          break;
        case kAtCallFile:
          into = &code.call_file;
          break;
        case kAtCallLine:
          into = &code.call_line;
          break;
        case kAtCallColumn:
          into = &code.call_column;
          break;
        case kAtAbstractOrigin:
          into = &code.origin;
          break;
        case kAtSibling:
          code.sibling = ReadForm(reader_, spec, unit_.format, unit_.offset).value;
          continue;
        default:
          SkipForm(reader_, spec.form, unit_.format);
          continue;
      }
      *into = ReadForm(reader_, spec, unit_.format, unit_.offset);
    }
    return code;
  }

  std::span<const AddressRange> RangesOf(const Code& code) {
    ranges_.clear();
    if (code.ranges) {
      ReadRanges(unit_, code.ranges, budget_, ranges_);
    } else if (const std::optional<uint64_t> low = unit_.Address(code.low)) {
      const std::optional<uint64_t> high = unit_.EndOf(*low, code.high);
      if (high && *low < *high) {
        ranges_.push_back({*low, *high});
      }
    }
    return ranges_;
  }

  void VisitFunction(uint64_t entry, const Abbreviation& row) {
    if (row.is_declaration) {
      return SkipTree(row);
    }
    bool wanted = false;
    uint64_t sibling = 0;
    if (row.has_code) {
      const Code code = ReadCode(row);
      sibling = code.sibling;
      for (const AddressRange range : RangesOf(code)) {
        wanted |= ClaimFunction(entry, range);
      }
    } else {
      SkipAttributes(reader_, *unit_.abbreviations, row, unit_.format);
    }
    if (!row.has_children) {
      return;
    }
    // GCC defines the methods of a local class inside the function's first entry; an entry that
    // refers to that one holds nothing else that has a name.
    if (!wanted && row.has_origin && sibling != 0) {
      return JumpTo(sibling);
    }
    levels_.push_back({.in_function = true, .wanted = wanted, .function = entry});
  }

  void VisitInlined(uint64_t entry, const Abbreviation& row) {
    const Level level = levels_.back();
    const Code code = ReadCode(row);
    const CodeScope scope{.unit = &unit_,
                          .entry = entry,
                          .origin = code.origin,
                          .depth = level.depth + 1,
                          .call_file = code.call_file.value,
                          .call_line = static_cast<uint32_t>(code.call_line.value),
                          .call_column = static_cast<uint32_t>(code.call_column.value)};
    bool wanted = false;
    for (const AddressRange range : RangesOf(code)) {
      wanted |= ClaimInlined(level, scope, range);
    }
    if (!row.has_children) {
      return;
    }
    if (!wanted && code.sibling != 0) {
      return JumpTo(code.sibling);
    }
    levels_.push_back({.in_function = true,
                       .wanted = wanted,
                       .function = level.function,
                       .depth = level.depth + 1});
  }

  // Calls use(i) for each wanted address in the range.
  template <class Use>
  void ForWantedIn(AddressRange range, Use use) {
    const auto first = std::ranges::lower_bound(wanted_, range.begin);
    size_t i = static_cast<size_t>(first - wanted_.begin());
    if (i == wanted_.size() || wanted_[i] >= range.end || !code_.Contains(range.begin)) {
      return;
    }
    for (; i < wanted_.size() && wanted_[i] < range.end && budget_.Spend(1); ++i) {
      use(i);
    }
  }

  bool ClaimFunction(uint64_t entry, AddressRange range) {
    bool any = false;
    const uint64_t size = range.end - range.begin;
    ForWantedIn(range, [&](size_t i) {
      std::vector<CodeScope>& chain = scopes_[i];
      if (chain.empty() || size < chain.front().range_size) {
        chain.assign(1, {.unit = &unit_, .entry = entry, .range_size = size});
        any = true;
      }
    });
    return any;
  }

  bool ClaimInlined(const Level& level, const CodeScope& scope, AddressRange range) {
    bool any = false;
    ForWantedIn(range, [&](size_t i) {
      std::vector<CodeScope>& chain = scopes_[i];
      // Only below the same function, and only where no sibling has claimed the address.
      if (!chain.empty() && chain.front().unit == &unit_ && chain.front().entry == level.function &&
          chain.back().depth == level.depth) {
        chain.push_back(scope);
        any = true;
      }
    });
    return any;
  }

  const DwarfUnit& unit_;
  std::span<const uint64_t> wanted_;
  const CodeRanges& code_;
  WorkBudget& budget_;
  std::span<std::vector<CodeScope>> scopes_;
  bool types_hold_code_;
  ByteReader reader_;
  std::vector<Level> levels_;
  std::vector<AddressRange> ranges_;
};

}  // namespace

void WalkScopes(const DwarfUnit& unit, std::span<const uint64_t> wanted, const CodeRanges& code,
                WorkBudget& budget, std::span<std::vector<CodeScope>> scopes) {
  ScopeWalker(unit, wanted, code, budget, scopes).Walk();
}

}  // namespace whyslow
