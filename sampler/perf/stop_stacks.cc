#include "sampler/perf/stop_stacks.h"

#include <algorithm>
#include <cstring>
#include <iterator>

namespace whyslow {
namespace {

constexpr size_t kMostNumbers = 16'384;

uint64_t Mixed(uint64_t hash, uint64_t word) {
  constexpr uint64_t kOdd = 0xd6e8feb86659fd93;
  hash = (hash ^ word) * kOdd;
  return hash ^ (hash >> 32);
}

uint64_t HashOfPlace(const WaitStack& stack) {
  uint64_t hash = Mixed(1, static_cast<uint64_t>(static_cast<int64_t>(stack.system_call)));
  for (const RuntimeAddress address : stack.kernel_callchain) {
    hash = Mixed(hash, address.value());
  }
  if (stack.registers) {
    hash = Mixed(hash, stack.registers->pc().value_or(0));
    hash = Mixed(hash, stack.registers->sp().value_or(0));
  }
  return hash;
}

uint64_t WithOwner(uint64_t hash, int32_t owner) {
  return Mixed(hash, static_cast<uint64_t>(static_cast<uint32_t>(owner)));
}

}  // namespace

void ProcessCode::Add(Pid pid, RuntimeAddress start, uint64_t size) {
  std::shared_ptr<Ranges>& shared = processes_[pid];
  shared = shared == nullptr || shared.use_count() > 1
               ? std::make_shared<Ranges>(shared == nullptr ? Ranges() : *shared)
               : shared;
  Ranges& ranges = *shared;
  Range added{.start = start.value(), .end = start.value() + size};
  // Those that touch it become one with it.
  const auto first = std::ranges::lower_bound(ranges, added.start, {}, &Range::end);
  auto last = first;
  for (; last != ranges.end() && last->start <= added.end; ++last) {
    added.start = std::min(added.start, last->start);
    added.end = std::max(added.end, last->end);
  }
  ranges.insert(ranges.erase(first, last), added);
}

void ProcessCode::Fork(Pid parent, Pid child) {
  const auto ranges = processes_.find(parent);
  if (ranges != processes_.end()) {
    const std::shared_ptr<Ranges> shared = ranges->second;
    processes_[child] = shared;
  }
}

uint64_t ProcessCode::HashOfCodeWords(Pid pid, std::span<const std::byte> stack) const {
  const auto process = processes_.find(pid);
  const Ranges* const ranges = process == processes_.end() ? nullptr : process->second.get();
  uint64_t hash = 1;
  for (size_t at = 0; at + sizeof(uint64_t) <= stack.size(); at += sizeof(uint64_t)) {
    uint64_t word = 0;
    std::memcpy(&word, stack.data() + at, sizeof(word));
    bool is_code = word != 0;
    if (ranges != nullptr && is_code) {
      const auto next = std::ranges::upper_bound(*ranges, word, {}, &Range::start);
      // A return address may be the end of its mapping.
      is_code = next != ranges->begin() && word <= std::prev(next)->end;
    }
    if (is_code) {
      hash = Mixed(Mixed(hash, at), word);
    }
  }
  return hash;
}

void StopStacks::Numbers::Set(uint64_t key, WaitStackId id) {
  const auto [row, is_new] = ids_.insert_or_assign(key, id);
  if (!is_new) {
    return;
  }
  by_age_.push_back(key);
  if (by_age_.size() > kMostNumbers) {
    ids_.erase(by_age_.front());
    by_age_.pop_front();
  }
}

WaitStackId StopStacks::Numbers::Find(uint64_t key) const {
  const auto row = ids_.find(key);
  return row == ids_.end() ? kNoWaitStack : row->second;
}

WaitStackId StopStacks::Add(const StopSeen& seen, Instant when, std::vector<Event>& out) {
  const WaitStack& stack = seen.stack;
  const uint64_t place = HashOfPlace(stack);
  const uint64_t words = Mixed(place, code_.HashOfCodeWords(stack.pid, stack.stack));
  const uint64_t key = WithOwner(words, Number(stack.pid));
  WaitStackId id = by_words_.Find(key);
  if (id == kNoWaitStack) {
    id = WaitStackId{++last_};
    by_words_.Set(key, id);
    out.push_back({.when = when, .what = stack});
    std::get<WaitStack>(out.back().what).id = id;
  }
  by_place_.Set(WithOwner(place, Number(stack.tid)), id);
  return id;
}

uint64_t StopStacks::SpotOf(const StopSeen& seen) {
  return WithOwner(HashOfPlace(seen.stack), Number(seen.stack.tid));
}

}  // namespace whyslow
