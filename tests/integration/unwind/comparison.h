// Ours against two oracles, stack by stack, and how often which was right.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "sampler/unwind/stack_unwinder.h"
#include "tests/integration/unwind/oracles.h"
#include "tests/integration/unwind/stopped_process.h"

namespace whyslow::testing {

// How two stacks of the same state relate.
enum class Relation { kEqual, kOursLonger, kOursOneMore, kOracleLonger, kDifferent };
Relation Relate(const std::vector<uint64_t>& ours, const std::vector<uint64_t>& oracle);

struct ComparisonTotals {
  size_t stacks = 0;
  size_t complete = 0;          // ours ended at the root
  size_t different_leaves = 0;  // distinct program counters
  size_t frames = 0;
  std::map<std::string, size_t> ends;
  std::map<std::string, size_t> classes;  // "libunwind equal, libdw ours longer": count
  // Both oracles agree with each other and not with us, or lead further than we do.
  size_t wrong = 0;
  std::vector<std::string> examples;  // of those and of unfinished ones, as text
};

class Comparison {
 public:
  explicit Comparison(UnwindMode mode = UnwindMode::kAuto) : unwinder_(mode) {}

  // Stops each thread of the process `rounds` times, some hundred microseconds apart.
  void Sample(pid_t pid, size_t rounds);
  // One state of a thread that is already stopped.
  void Compare(pid_t tid, const UserRegisters& registers, const AddressSpace& space,
               LibdwOracle& libdw);

  const ComparisonTotals& totals() const { return totals_; }
  std::string Report() const;

 private:
  StackUnwinder unwinder_;
  ModuleCache modules_;
  LibunwindOracle libunwind_;
  ComparisonTotals totals_;
  std::map<uint64_t, size_t> leaves_;
};

std::string Describe(uint64_t pc, const AddressSpace& space);

}  // namespace whyslow::testing
