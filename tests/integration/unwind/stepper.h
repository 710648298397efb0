// Runs a program instruction by instruction and keeps the true call stack from the calls and
// returns it executes: at each instruction the unwinder has to agree.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "sampler/unwind/stack_unwinder.h"

namespace whyslow::testing {

struct StepReport {
  bool started = false;
  size_t steps = 0;
  size_t right = 0;
  size_t signals = 0;
  std::string base;  // the stack where stepping began, one frame a line
  StackEnd base_end = StackEnd::kNoRegisters;
  std::vector<std::string> mistakes;  // the first few, as text
};

// The program is to raise SIGSTOP where the stepping begins. Ends after `max_steps` or with it.
StepReport StepThrough(const std::vector<std::string>& command, size_t max_steps, UnwindMode mode);

}  // namespace whyslow::testing
