#include "symbolizer/dwarf/scope_tree.h"

#include <algorithm>

#include "symbolizer/dwarf/dwarf_constants.h"

namespace whyslow {
namespace {

constexpr size_t kMaxDepth = 4096;
// 16 bytes each. Functions are asked for unit by unit, so that little is read twice.
constexpr size_t kMaxKept = 1'000'000;

bool HasName(const Abbreviation& row) {
  return row.role == EntryRole::kFunction || row.role == EntryRole::kType ||
         row.tag == dwarf::kTagNamespace || row.tag == dwarf::kTagModule;
}

// Leaves the reader behind the attributes; 0 when the entry does not say where its children end.
uint64_t ReadSibling(ByteReader& reader, const DwarfUnit& unit, const Abbreviation& row) {
  if (!row.has_sibling) {
    SkipAttributes(reader, *unit.abbreviations, row, unit.format);
    return 0;
  }
  uint64_t sibling = 0;
  for (const AttributeSpec& spec : unit.abbreviations->AttributesOf(row)) {
    if (spec.name == dwarf::kAtSibling) {
      sibling = ReadForm(reader, spec, unit.format, unit.offset).value;
    } else {
      SkipForm(reader, spec.form, unit.format);
    }
  }
  return sibling;
}

}  // namespace

// Reads the level that begins there and, where entries do not say where they end, the levels below,
// which have to be walked through anyway.
void ScopeTree::ReadLevels(const DwarfUnit& unit, uint64_t begin) {
  ByteReader reader = unit.ReaderAt(begin);
  std::vector<uint64_t> open{begin};  // the level that what comes next belongs to
  levels_[{&unit, begin}];
  while (!open.empty() && !reader.at_end() && reader.ok() && open.size() < kMaxDepth) {
    const uint64_t entry = reader.position();
    const uint64_t code = reader.Uleb();
    if (code == 0) {
      open.pop_back();
      continue;
    }
    const Abbreviation* row = unit.abbreviations->Find(code);
    if (row == nullptr) {
      break;
    }
    const uint64_t sibling = ReadSibling(reader, unit, *row);
    const uint64_t children = row->has_children ? reader.position() : 0;
    uint64_t inner = open.back();
    if (HasName(*row)) {
      levels_[{&unit, inner}].push_back({entry, children});
      ++kept_;
      inner = children;
      if (row->has_children && sibling > children) {
        reader.Seek(sibling);
        continue;
      }
      if (row->has_children) {
        levels_[{&unit, children}];
      }
    }
    if (row->has_children) {
      open.push_back(inner);
    }
  }
  budget_.Spend(reader.position() - begin);
}

const ScopeTree::Level& ScopeTree::LevelAt(const DwarfUnit& unit, uint64_t begin) {
  auto found = levels_.find({&unit, begin});
  if (found == levels_.end()) {
    if (kept_ > kMaxKept) {
      levels_.clear();
      kept_ = 0;
    }
    if (budget_.exhausted()) {
      levels_[{&unit, begin}];
    } else {
      ReadLevels(unit, begin);
    }
    found = levels_.find({&unit, begin});
  }
  return found->second;
}

std::vector<uint64_t> ScopeTree::Enclosing(const DwarfUnit& unit, uint64_t entry) {
  // The unit's own entry is the only one beside which nothing stands.
  ByteReader reader = unit.ReaderAt(unit.entries);
  const Abbreviation* root = unit.abbreviations->Find(reader.Uleb());
  if (root == nullptr || !root->has_children) {
    return {};
  }
  SkipAttributes(reader, *unit.abbreviations, *root, unit.format);
  uint64_t begin = reader.position();
  std::vector<uint64_t> enclosing;
  while (begin != 0 && enclosing.size() < kMaxDepth) {
    const Level& level = LevelAt(unit, begin);
    const auto after = std::ranges::upper_bound(level, entry, {}, &Scope::entry);
    if (after == level.begin()) {
      return {};
    }
    const Scope scope = *std::prev(after);
    if (scope.entry == entry) {
      std::ranges::reverse(enclosing);
      return enclosing;
    }
    enclosing.push_back(scope.entry);
    begin = scope.children;
  }
  return {};
}

}  // namespace whyslow
