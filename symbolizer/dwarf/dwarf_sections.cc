#include "symbolizer/dwarf/dwarf_sections.h"

#include <string>

namespace whyslow {
namespace {

SectionBytes LoadOne(const ElfFile& elf, const std::string& name) {
  const ElfSection* section = elf.FindSection("." + name);
  if (section == nullptr) {
    section = elf.FindSection(".z" + name);
  }
  if (section == nullptr) {
    return {};
  }
  absl::StatusOr<SectionBytes> bytes = elf.ReadSection(*section);
  return bytes.ok() ? *std::move(bytes) : SectionBytes();
}

}  // namespace

DwarfSections DwarfSections::Load(const ElfFile& elf, std::string_view suffix) {
  const auto load = [&](std::string_view name) {
    return LoadOne(elf, std::string(name) + std::string(suffix));
  };
  DwarfSections sections;
  sections.info = load("debug_info");
  if (sections.info.size() == 0) {
    return sections;
  }
  sections.abbrev = load("debug_abbrev");
  sections.str = load("debug_str");
  sections.line_str = load("debug_line_str");
  sections.str_offsets = load("debug_str_offsets");
  sections.addr = load("debug_addr");
  sections.ranges = load("debug_ranges");
  sections.rnglists = load("debug_rnglists");
  sections.line = load("debug_line");
  sections.aranges = load("debug_aranges");
  return sections;
}

void DwarfSections::ForgetPages() const {
  for (const SectionBytes* section : {&info, &abbrev, &str, &line_str, &str_offsets, &addr, &ranges,
                                      &rnglists, &line, &aranges}) {
    section->ForgetPages();
  }
}

uint64_t DwarfSections::total_bytes() const {
  return info.size() + abbrev.size() + str.size() + line_str.size() + str_offsets.size() +
         addr.size() + ranges.size() + rnglists.size() + line.size() + aranges.size();
}

}  // namespace whyslow
