#include "symbolizer/dwarf/function_names.h"

#include "symbolizer/demangle.h"
#include "symbolizer/dwarf/dwarf_constants.h"

namespace whyslow {
namespace {

using namespace dwarf;  // NOLINT(google-build-using-namespace): the standard's numbers

// Concrete entry, abstract entry, declaration: three in practice. More is a loop.
constexpr int kMaxChain = 16;
constexpr int kMaxScopes = 64;

bool HasScopes(uint16_t language) {
  switch (language) {
    case kLangCPlusPlus:
    case kLangCPlusPlus03:
    case kLangCPlusPlus11:
    case kLangCPlusPlus14:
    case kLangCPlusPlus17:
    case kLangCPlusPlus20:
    case kLangD:
    case kLangRust:
    case kLangSwift:
      return true;
    default:
      return false;
  }
}

}  // namespace

AttributeValue FunctionNames::ReadStep(const DwarfUnit& unit, uint64_t entry, Chain& chain) const {
  ByteReader reader = unit.ReaderAt(entry);
  const Abbreviation* row = unit.abbreviations->Find(reader.Uleb());
  if (row == nullptr) {
    return {};
  }
  AttributeValue next;
  bool has_file = false;
  for (const AttributeSpec& spec : unit.abbreviations->AttributesOf(*row)) {
    switch (spec.name) {
      case kAtName:
      case kAtLinkageName:
      case kAtMipsLinkageName: {
        const AttributeValue value = ReadForm(reader, spec, unit.format, unit.offset);
        std::string_view& into = spec.name == kAtName ? chain.name : chain.linkage_name;
        into = into.empty() ? unit.Text(value) : into;
        break;
      }
      case kAtDeclFile: {
        const AttributeValue value = ReadForm(reader, spec, unit.format, unit.offset);
        if (chain.decl_unit == nullptr) {
          chain.decl_file = value.value;
          has_file = true;
        }
        break;
      }
      case kAtDeclLine: {
        const AttributeValue value = ReadForm(reader, spec, unit.format, unit.offset);
        chain.decl_line =
            chain.decl_line == 0 ? static_cast<uint32_t>(value.value) : chain.decl_line;
        break;
      }
      case kAtSpecification:
      case kAtAbstractOrigin:
        next = ReadForm(reader, spec, unit.format, unit.offset);
        break;
      default:
        SkipForm(reader, spec.form, unit.format);
    }
  }
  chain.decl_unit = has_file ? &unit : chain.decl_unit;
  return next;
}

FunctionNames::Chain FunctionNames::Follow(const DwarfUnit& unit, uint64_t entry) const {
  Chain chain;
  const DwarfUnit* at_unit = &unit;
  uint64_t at = entry;
  for (int step = 0; step < kMaxChain && at_unit != nullptr; ++step) {
    chain.last_unit = at_unit;
    chain.last_entry = at;
    const AttributeValue next = ReadStep(*at_unit, at, chain);
    at = next.value;
    if (next.kind == AttributeValue::Kind::kReference) {
      if (at < at_unit->entries || at >= at_unit->end) {
        at_unit = at_unit->unit_table != nullptr ? at_unit->unit_table->Find(at) : nullptr;
      }
    } else if (next.kind == AttributeValue::Kind::kAltReference) {
      at_unit = at_unit->alt_table != nullptr ? at_unit->alt_table->Find(at) : nullptr;
    } else {
      break;
    }
  }
  return chain;
}

FunctionFacts FunctionNames::Describe(const DwarfUnit& unit, uint64_t entry) {
  const Chain chain = Follow(unit, entry);
  FunctionFacts facts{.linkage_name = std::string(chain.linkage_name),
                      .decl_unit = chain.decl_unit,
                      .decl_file = chain.decl_file,
                      .decl_line = chain.decl_line,
                      .is_c_like = !HasScopes(unit.language)};
  if (chain.linkage_name.empty() && !chain.name.empty()) {
    facts.name = facts.is_c_like ? std::string(chain.name) : Qualified(chain, 0);
  }
  return facts;
}

std::string FunctionNames::ScopeName(const DwarfUnit& unit, uint64_t entry, int depth) {
  ByteReader reader = unit.ReaderAt(entry);
  const Abbreviation* row = unit.abbreviations->Find(reader.Uleb());
  if (row == nullptr) {
    return {};
  }
  const Chain chain = Follow(unit, entry);
  if (row->role == EntryRole::kFunction) {
    return chain.linkage_name.empty() ? Qualified(chain, depth + 1)
                                      : Demangle(std::string(chain.linkage_name));
  }
  if (!chain.name.empty()) {
    return std::string(chain.name);
  }
  return row->tag == kTagNamespace ? "(anonymous namespace)" : "(anonymous)";
}

std::string FunctionNames::Qualified(const Chain& chain, int depth) {
  std::string name(chain.name);
  if (chain.last_unit == nullptr || depth > kMaxChain) {
    return name;
  }
  const DwarfUnit& unit = *chain.last_unit;
  int scopes = 0;
  for (const uint64_t entry : tree_.Enclosing(unit, chain.last_entry)) {
    if (++scopes > kMaxScopes) {
      break;
    }
    name = ScopeName(unit, entry, depth) + "::" + name;
    ByteReader reader = unit.ReaderAt(entry);
    const Abbreviation* shape = unit.abbreviations->Find(reader.Uleb());
    if (shape != nullptr && shape->role == EntryRole::kFunction) {
      break;  // a function's name is complete
    }
  }
  return name;
}

}  // namespace whyslow
