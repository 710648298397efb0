// libunwind and libdw on the state that our own unwinder is measured with.
#pragma once

#include <ucontext.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "sampler/registers.h"

namespace whyslow {

// In this process, from its own memory: libunwind's quickest way, with a cache for each thread.
// Returns the number of frames; 0: libunwind refused.
size_t UnwindByLibunwind(ucontext_t& context, std::vector<uint64_t>& frames);
// Its shortcut for backtraces of the caller itself, which a profiler from outside cannot take.
size_t BacktraceByLibunwind(std::span<void*> frames);

// From registers and a copy of the stack, as a profiler uses it. The modules are this process's.
class LibdwUnwinder {
 public:
  LibdwUnwinder(const UserRegisters& registers, std::span<const std::byte> stack);
  ~LibdwUnwinder();
  size_t Unwind(std::vector<uint64_t>& frames);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace whyslow
