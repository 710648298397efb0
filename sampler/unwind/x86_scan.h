// For x86-64 code without CFI: reads on to the function's return, keeping count of the stack
// pointer, and so finds where the return address must lie now.
#pragma once

#include <cstdint>
#include <vector>

#include "sampler/unwind/code_reader.h"
#include "sampler/unwind/unwind_rule.h"

namespace whyslow {

// Candidates, likeliest first, at most a handful; each has to be checked against the stack, since a
// call that never returns leads the reader into the next function. Empty: no return was found.
// is_exact: pc was executing, not a return address, so that all registers are known there.
std::vector<UnwindRule> ScanForReturn(uint64_t pc, bool is_exact, CodeStream& code);

// The code there passes on the result of the call before it, as in exit(main(...)): in code without
// CFI, where nothing else leads on, that is how a thread begins.
bool PassesResultToCall(uint64_t pc, CodeStream& code);

}  // namespace whyslow
