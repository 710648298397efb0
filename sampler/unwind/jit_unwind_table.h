// How to unwind the code that one process made at run time, as far as it has told.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/address.h"
#include "sampler/registers.h"
#include "sampler/unwind/cfi_table.h"

namespace whyslow {

// Used by one thread. Copies are cheap, as a fork is, and go their own way from then on.
class JitUnwindTable {
 public:
  // What is kept at most, whatever the target writes; code beyond counts as code without CFI.
  static constexpr size_t kMaxFunctions = size_t{1} << 20;
  static constexpr size_t kMaxCfiBytes = size_t{128} << 20;
  static constexpr size_t kMaxCfiOfFunction = size_t{64} << 10;

  explicit JitUnwindTable(Architecture architecture = kHostArchitecture);

  // Code appeared at `start`; what was known of these addresses holds no longer. `eh_frame` is as
  // the dump has it, empty where there is none: pc-relative pointers in it count from the place
  // that perf gives it, the first multiple of 8 bytes after the start behind the code.
  void Load(RuntimeAddress start, uint64_t size, uint64_t index, std::string eh_frame);
  // The code with this index is at `to` now. Where it was, it counts until something else does.
  void Move(uint64_t index, RuntimeAddress to);
  void Clear();

  struct Place {
    const CfiTable* table;
    ElfAddress address;  // where the code was first: that is what its CFI speaks of
    uint64_t load_bias;  // runtime address - that one, modulo 2^64
  };
  // nullopt: no CFI for this code. What it points to is valid until the next change.
  std::optional<Place> Find(RuntimeAddress address) const;

  // Changes with every change, and equals no other version of a table or an AddressSpace but that
  // of a copy with the same content. 0: never changed.
  uint32_t version() const { return version_; }
  size_t size() const;

 private:
  // The CFI of one function; compiled when a stack first leads into it.
  struct FunctionCfi {
    RuntimeAddress start;
    uint64_t size = 0;
    std::string eh_frame;
    std::optional<CfiTable> table;
  };
  struct Piece {
    uint64_t end = 0;
    uint64_t moved = 0;  // bytes since the load, modulo 2^64
    std::shared_ptr<FunctionCfi> cfi;
  };
  struct State {
    std::map<uint64_t, Piece> pieces;  // by start; never overlapping
    absl::flat_hash_map<uint64_t, std::shared_ptr<FunctionCfi>> by_index;
    size_t cfi_bytes = 0;  // of all in by_index
  };

  bool IsFree(uint64_t start, uint64_t end) const;
  // The state for writing, no longer shared with copies, under a new version.
  State& Change();
  // Remembers the function by its index. Null: it has no CFI, or there is no room for it.
  std::shared_ptr<FunctionCfi> Keep(FunctionCfi function, uint64_t index);
  void Put(uint64_t start, uint64_t end, Piece piece);
  // Forgets functions of which nothing is left, once they are many.
  static void Prune(State& state);

  Architecture architecture_;
  uint32_t version_ = 0;
  std::shared_ptr<State> state_;
};

}  // namespace whyslow
