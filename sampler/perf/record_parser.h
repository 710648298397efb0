// One record of a perf ring to one Event: pure, and safe for any bytes whatever.
#pragma once

#include <linux/perf_event.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/ids.h"
#include "base/time.h"
#include "sampler/event.h"

namespace whyslow {

// Every event asks for at least these, so that the trailer of each record that is no sample
// (sample_id_all) looks the same on every ring: process and thread, time, CPU.
inline constexpr uint64_t kSideRecordFields = PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_CPU;

// The general registers, the stack pointer and the instruction pointer of user mode.
#if defined(__x86_64__)
inline constexpr uint64_t kSampledRegisters = 0xff01ff;  // AX .. IP, R8 .. R15
#else
inline constexpr uint64_t kSampledRegisters = (uint64_t{1} << 33) - 1;  // X0 .. X30, SP, PC
#endif

// How the samples of one ring are laid out: the sample_type and registers that its event asked for.
struct RecordLayout {
  uint64_t sample_type = kSideRecordFields;
  uint64_t registers = 0;
  // With a frequency instead of a period the kernel's "period" is a count, not a time.
  std::optional<Nanoseconds> period;
  bool is_of_switches =
      false;  // samples are of threads that stop: WaitStack instead of StackSample

  static RecordLayout Of(const perf_event_attr& attr);
};

// Whom a record is about, without parsing all of it: most records of a busy machine are not the
// target's and their stacks need not be copied.
struct RecordOwner {
  Pid pid = kNoPid;
  Pid parent_pid = kNoPid;    // of a fork
  bool concerns_all = false;  // losses
  bool is_switch = false;     // the pid of a thread that ended is lost when it switches out
};
RecordOwner OwnerOf(std::span<const std::byte> record, const RecordLayout& layout);

// `record` is one whole record with its header. nullopt: a kind that we do not use, or damaged.
std::optional<Event> ParseRecord(std::span<const std::byte> record, const RecordLayout& layout);

}  // namespace whyslow
