// What the kernel told us, as plain values. Below this file stands the kernel's ABI, above it none
// of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/address.h"
#include "base/ids.h"
#include "base/root_folder.h"
#include "base/time.h"
#include "base/unique_fd.h"
#include "sampler/registers.h"

namespace whyslow {

// A thread was on a CPU when the clock ticked.
struct StackSample {
  Pid pid = kNoPid;
  Tid tid = kNoTid;
  Cpu cpu{};
  Nanoseconds period{};  // time that one sample stands for
  bool in_kernel = false;
  // Registers of user mode at the tick, or at the entry to the kernel; absent for kernel threads
  // and for a thread that is on its way out.
  std::optional<UserRegisters> registers;
  std::vector<RuntimeAddress> kernel_callchain;  // leaf first: ip, then return addresses
  std::vector<RuntimeAddress> user_callchain;    // by frame pointers, leaf first; may be empty
  std::vector<std::byte> stack;                  // from the user stack pointer upwards
  bool stack_was_shortened = false;              // by us, under load
};

// A thread began to run on a CPU.
struct SwitchIn {
  Pid pid = kNoPid;
  Tid tid = kNoTid;
};

struct SwitchOut {
  Pid pid = kNoPid;
  Tid tid = kNoTid;
  bool preempted = false;  // it could have gone on
};

// The kernel's own account of a thread's time on CPUs since the thread began.
struct ThreadRunTime {
  Pid pid = kNoPid;
  Tid tid = kNoTid;
  Nanoseconds total{};
  bool is_baseline = false;  // the thread was there before us: time up to here is not ours
};

// An executable mapping appeared (also one found in /proc at attach).
struct MappingAdded {
  Pid pid = kNoPid;
  RuntimeAddress start;
  uint64_t size = 0;
  uint64_t file_offset = 0;
  std::string path;      // as the target sees it; "[vdso]", "//anon" and the like are kept
  std::string build_id;  // lower-case hex, where the kernel gave it
  uint64_t device = 0;   // both 0 where the kernel gave the build ID instead
  uint64_t inode = 0;
  // The mapped file, opened the moment the record was read: later it may be gone. Null in
  // recordings.
  std::shared_ptr<UniqueFd> file;
  // What the process sees as /, where that is another tree than ours; for its debug files.
  std::shared_ptr<const RootFolder> root;
};

// A thread began: of a new process when pid != parent_pid. Found at attach: parent_pid == kNoPid.
struct ThreadStarted {
  Pid pid = kNoPid;
  Tid tid = kNoTid;
  Pid parent_pid = kNoPid;
  Tid parent_tid = kNoTid;
};

struct ThreadExited {
  Pid pid = kNoPid;
  Tid tid = kNoTid;
};

// The thread's name. With `exec`, the process is a new program: its mappings and other threads are
// gone.
struct ThreadNamed {
  Pid pid = kNoPid;
  Tid tid = kNoTid;
  std::string name;
  bool exec = false;
};

// The kernel has got code at run time, or gives it up: BPF programs, trampolines.
struct KernelCodeChanged {
  RuntimeAddress start;
  uint64_t size = 0;
  std::string name;
  bool is_bpf = false;
  bool is_gone = false;
};

enum class LossKind : uint8_t {
  kRingFull,        // the kernel had no room for `count` records
  kSampleShed,      // we dropped samples under load
  kStackShortened,  // we cut stack copies under load
  kThrottled,       // the kernel paused the clock for sampling too often
};

struct EventsLost {
  LossKind kind = LossKind::kRingFull;
  uint64_t count = 0;
};

struct Event {
  Instant when;
  std::variant<StackSample, SwitchIn, SwitchOut, ThreadRunTime, MappingAdded, ThreadStarted,
               ThreadExited, ThreadNamed, KernelCodeChanged, EventsLost>
      what;
};

// A supplier of events in time order: the kernel, a recording, a test's script.
class EventSource {
 public:
  virtual ~EventSource() = default;
  // Appends what has come, waiting for it a bounded time (well under a second). False: no more will
  // come.
  virtual bool Read(std::vector<Event>& out) = 0;
  // No more is wanted: Read delivers what has come until now, then false. Any thread.
  virtual void Stop() = 0;
  // When the sampling ended. After Read gave false.
  virtual Instant ended_at() const { return MonotonicClock::now(); }
};

}  // namespace whyslow
