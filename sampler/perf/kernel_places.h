// What the kernel's part of a stack says of a thread that stopped there: in which system call, and
// what for.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "sampler/event.h"

namespace whyslow {

struct KernelPlace {
  int32_t system_call = -1;     // -1: none, or its name is not on the stack
  bool in_system_call = false;  // of whatever name
  bool for_device = false;      // it sleeps as for input or output
  bool in_page_fault = false;
  OffCpu why = OffCpu::kBlocked;
};

// Only those symbols of the kernel that tell something. On x86-64 the registers of user mode that
// perf gives lack the system call's number, so the functions of the calls have to tell it.
class KernelPlaces {
 public:
  // `kallsyms`: lines of /proc/kallsyms. Without the right to see addresses all are 0: then nothing
  // is known.
  explicit KernelPlaces(std::string_view kallsyms);
  static KernelPlaces OfThisKernel();

  bool empty() const { return symbols_.empty(); }
  // Leaf first, as in WaitStack.
  KernelPlace Find(std::span<const RuntimeAddress> callchain) const;

 private:
  struct Symbol {
    uint64_t start = 0;
    uint64_t end = 0;
    KernelPlace meaning;
  };
  std::vector<Symbol> symbols_;  // by start
};

}  // namespace whyslow
