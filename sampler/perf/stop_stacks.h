// Stacks of threads that stopped running, as copies of them come in: each different one is told
// once and has a number from then on. Pure.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/ids.h"
#include "base/time.h"
#include "sampler/event.h"

namespace whyslow {

// What was seen of a thread that had stopped, or was about to.
struct StopSeen {
  Instant when;
  WaitStack stack;  // `id` is to be given
  OffCpu why = OffCpu::kBlocked;
  bool uninterruptible = false;
  bool for_device = false;
  std::shared_ptr<const WaitObject> object;
  bool has_copy = false;  // of the stack; else registers and the kernel's part only
};

// Where executable code is mapped in each process, to tell return addresses from other words.
class ProcessCode {
 public:
  void Add(Pid pid, RuntimeAddress start, uint64_t size);
  void Fork(Pid parent, Pid child);
  void Clear(Pid pid) { processes_.erase(pid); }

  // Of the words that lie in code, with their places. Of a process of which nothing is known, of
  // all words.
  uint64_t HashOfCodeWords(Pid pid, std::span<const std::byte> stack) const;

 private:
  struct Range {
    uint64_t start = 0;
    uint64_t end = 0;
  };
  using Ranges = std::vector<Range>;  // in order, apart from each other

  // Shared by forked processes until one of them changes.
  absl::flat_hash_map<Pid, std::shared_ptr<Ranges>> processes_;
};

// Two stacks are the same if they have the same return addresses in the same places, above the
// same kernel's part. A word that is no return address but looks like one makes two of one stack,
// never one of two.
class StopStacks {
 public:
  ProcessCode& code() { return code_; }

  // The number of a copied stack. Appends it to `out` as an event at `when` where it is new.
  WaitStackId Add(const StopSeen& seen, Instant when, std::vector<Event>& out);
  // Equal for stops at the same place: of one thread, with the same program counter, stack pointer,
  // kernel's part and system call. Several callers may come by there.
  static uint64_t SpotOf(const StopSeen& seen);
  // The stack copied last at this spot; kNoWaitStack: none.
  WaitStackId FindAt(uint64_t spot) const { return by_place_.Find(spot); }

 private:
  // The oldest go when there are too many: a stack that comes again is told again.
  class Numbers {
   public:
    void Set(uint64_t key, WaitStackId id);
    WaitStackId Find(uint64_t key) const;

   private:
    absl::flat_hash_map<uint64_t, WaitStackId> ids_;
    std::deque<uint64_t> by_age_;
  };

  ProcessCode code_;
  Numbers by_words_;
  Numbers by_place_;
  uint64_t last_ = 0;
};

}  // namespace whyslow
