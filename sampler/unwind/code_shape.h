// What the instructions around an address say about its frame, where no CFI does.
#pragma once

#include <cstdint>
#include <optional>

#include "sampler/registers.h"
#include "sampler/unwind/code_reader.h"
#include "sampler/unwind/unwind_rule.h"

namespace whyslow {

// Rules that need no module: `others` refers to what MakeShapeRules() made.
enum class Shape : uint8_t {
  kReturnOnTop,       // x86-64: the return address is at sp; ARM64: it is in the link register
  kReturnAboveOne,    // x86-64: one word was pushed above it
  kReturnAboveTwo,    // x86-64: two words
  kFramePushed,       // the caller's frame pointer was saved, ours is not set up yet
  kFramePointer,      // a frame in the usual layout
  kSignalTrampoline,  // the kernel's rt_sigreturn frame lies at sp
  kCount,
};

// rules[static_cast<size_t>(shape)].
RuleSet MakeShapeRules(Architecture architecture);

// The instruction is the one that returns from a signal handler, or one that leads to it.
bool IsSignalTrampoline(const CodeWindow& code, Architecture architecture);

// For an address that was executing: PLT stubs, prologues and epilogues. nullopt: nothing special
// is seen, which in code with frame pointers means that the frame is set up.
std::optional<Shape> ShapeOfLeaf(const CodeWindow& code, Architecture architecture);

// The instruction before the address is a system call.
bool FollowsSystemCall(const CodeWindow& code, Architecture architecture);

// The instruction before the address is a call. True when the code is not known.
bool FollowsCall(const CodeWindow& code, Architecture architecture);

}  // namespace whyslow
