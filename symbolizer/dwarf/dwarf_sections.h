// The debug sections of one file, decompressed, and a limit on what reading them may cost.
#pragma once

#include <cstdint>
#include <string_view>

#include "elf/elf_file.h"

namespace whyslow {

// What has been read of the file stays in memory up to here: beside a profiled server, not more of
// it should be held than what is being looked at.
inline constexpr uint64_t kKeptBytes = uint64_t{64} << 20;
// With one byte that is read the kernel maps its neighbours, as many as lie together in the page
// cache: seen on 6.18, a fault on each of 430 headers put 350 MB into memory.
inline constexpr uint64_t kMappedAtOnce = uint64_t{2} << 20;

struct DwarfSections {
  SectionBytes info;
  SectionBytes abbrev;
  SectionBytes str;
  SectionBytes line_str;
  SectionBytes str_offsets;
  SectionBytes addr;
  SectionBytes ranges;    // DWARF 2 to 4
  SectionBytes rnglists;  // DWARF 5
  SectionBytes line;
  SectionBytes aranges;

  // `suffix` is "" or ".dwo". A section that is missing or damaged is empty.
  static DwarfSections Load(const ElfFile& elf, std::string_view suffix = "");

  uint64_t total_bytes() const;
  void ForgetPages() const;
};

// A hostile file can let every unit point to the same long table. What honest files need is linear
// in their size; who spends more gets no further answers.
class WorkBudget {
 public:
  explicit WorkBudget(uint64_t section_bytes) : left_(5'000'000) { Grow(section_bytes); }

  void Grow(uint64_t section_bytes) { left_ += section_bytes * 16; }

  bool exhausted() const { return left_ == 0; }

  bool Spend(uint64_t amount) {
    if (amount > left_) {
      left_ = 0;
      return false;
    }
    left_ -= amount;
    return true;
  }

 private:
  uint64_t left_;
};

}  // namespace whyslow
