// Where a process has code, in as many ranges as the BPF programs have room for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "base/address.h"

namespace whyslow {

class CodeRanges {
 public:
  void Add(RuntimeAddress start, uint64_t size);

  // In order, not more than `most`: neighbours that lie closest together become one where there are
  // more. What lies between them counts as code then.
  std::vector<std::pair<uint64_t, uint64_t>> AtMost(size_t most) const;

 private:
  std::map<uint64_t, uint64_t> ends_;  // by start; they do not touch
};

}  // namespace whyslow
