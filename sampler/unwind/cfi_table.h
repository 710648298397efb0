// All of a module's call frame information, compiled once: address in, unwind rule out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/address.h"
#include "elf/elf_file.h"
#include "sampler/unwind/cfi_program.h"
#include "sampler/unwind/cfi_section.h"
#include "sampler/unwind/unwind_rule.h"

namespace whyslow {

// Immutable once made. 8 bytes a row; a row in ten instructions or so of code.
class CfiTable {
 public:
  // From .eh_frame (found by its section, else through the program header of its index) and
  // .debug_frame, which fills what the first leaves open. A module without either, or with broken
  // ones, gives a table that has no rule for anything.
  static CfiTable FromElf(const ElfFile& elf);
  // From the bytes of sections. Only code in [start, end) counts, and at most 4 GiB of it.
  static CfiTable FromSources(std::span<const CfiSource> sources, Architecture architecture,
                              ElfAddress start, ElfAddress end);
  // Of parts that were a table's before. Rows are in order, and every index in rows and rules leads
  // into its list: who reads parts from somewhere has to check that.
  static CfiTable FromParts(ElfAddress base, std::vector<CfiRow> rows, RuleSet rules);

  // The rule for the instruction that holds this address; its `cfa` may be kNone. Never null.
  const UnwindRule& Find(ElfAddress address) const;

  const RuleSet& rules() const { return rules_; }
  ElfAddress base() const { return ElfAddress(base_); }  // where the rows' addresses count from
  std::span<const CfiRow> rows() const { return rows_; }
  size_t row_count() const { return rows_.size(); }

 private:
  CfiTable() = default;

  uint64_t base_ = 0;
  // By pc; from the last row on there is no rule (it says so).
  std::vector<CfiRow> rows_;
  RuleSet rules_;
};

}  // namespace whyslow
