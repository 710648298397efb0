#include "sampler/target/address_space.h"

#include <atomic>
#include <utility>

namespace whyslow {

uint32_t NextSpaceVersion() {
  static std::atomic<uint32_t> last = 0;
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

void AddressSpace::Clear() {
  mappings_.clear();
  version_ = 0;
}

void AddressSpace::Add(Mapping mapping) {
  if (mapping.end <= mapping.start) {
    return;
  }
  version_ = NextSpaceVersion();
  // Cut the neighbour that begins before, keep its tail if it reaches past the new end.
  auto at = mappings_.upper_bound(mapping.start);
  if (at != mappings_.begin()) {
    Mapping& before = std::prev(at)->second;
    if (before.end > mapping.start) {
      if (before.end > mapping.end) {
        Mapping tail = before;
        tail.file_offset += mapping.end - tail.start;
        tail.start = mapping.end;
        mappings_.emplace(tail.start, std::move(tail));
      }
      if (before.start == mapping.start) {
        mappings_.erase(std::prev(at));
      } else {
        before.end = mapping.start;
      }
    }
  }
  at = mappings_.lower_bound(mapping.start);
  while (at != mappings_.end() && at->second.start < mapping.end) {
    Mapping covered = std::move(at->second);
    at = mappings_.erase(at);
    if (covered.end > mapping.end) {
      covered.file_offset += mapping.end - covered.start;
      covered.start = mapping.end;
      mappings_.emplace(covered.start, std::move(covered));
      break;
    }
  }
  const RuntimeAddress start = mapping.start;
  mappings_.emplace(start, std::move(mapping));
}

const Mapping* AddressSpace::Find(RuntimeAddress address) const {
  const auto after = mappings_.upper_bound(address);
  if (after == mappings_.begin()) {
    return nullptr;
  }
  const Mapping& mapping = std::prev(after)->second;
  return mapping.Contains(address) ? &mapping : nullptr;
}

}  // namespace whyslow
