// What the user wants sampled, in the user's terms; nothing of the kernel's.
#pragma once

#include <cstdint>

#include "sampler/capture_mode.h"

namespace whyslow {

enum class SampleClock : uint8_t {
  kCpuClock,  // a timer per CPU: works everywhere
  kCycles,    // the CPU's counter: needs a PMU, sees code with interrupts off
};

enum class Attachment : uint8_t {
  kAuto,     // per CPU where permitted
  kPerCpu,   // one event per CPU, filtered by process: cheap for targets that switch a lot
  kPerTask,  // one event per thread and CPU, inherited: all that an ordinary user may have
};

enum class BpfUse : uint8_t { kAuto, kYes, kNo };

struct SamplerOptions {
  CaptureMode mode = CaptureMode::kCpu;
  uint32_t frequency_hz = 99;  // samples per second of CPU time, 1 .. 10000
  SampleClock clock = SampleClock::kCpuClock;
  bool kernel_frames = true;
  bool user_callchain = false;       // the kernel walks frame pointers of user mode
  uint32_t stack_bytes = 16 * 1024;  // of the user stack with each sample; 0: none
  bool follow_children = true;
  bool python = true;  // frames of CPython too
  // Every SwitchIn and SwitchOut of the target comes as an event. Without it they are only counted
  // up to ThreadRunTime (and not even asked for where BPF tells the run time).
  bool switch_events = false;
  Attachment attachment = Attachment::kAuto;
  BpfUse bpf = BpfUse::kAuto;
};

// How much of the stack to copy at this rate. Servers with a buffer or two on the stack need more
// than 16 KiB, and the larger copy costs the target little beside the interrupt itself; at high
// rates the rings' bandwidth is what counts.
constexpr uint32_t StackBytesFor(uint32_t frequency_hz) {
  constexpr uint32_t kHighRate = 1000;
  return (frequency_hz <= kHighRate ? 32 : 16) * 1024;
}

}  // namespace whyslow
