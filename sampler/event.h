// What the kernel told us, as plain values. Below this file stands the kernel's ABI, above it none
// of it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/address.h"
#include "base/duration_histogram.h"
#include "base/ids.h"
#include "base/root_folder.h"
#include "base/time.h"
#include "base/unique_fd.h"
#include "sampler/python_frames.h"
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
  PythonStackId python = kNoPythonStack;         // told before
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

// Names a WaitStack; 0: none.
enum class WaitStackId : uint64_t {};
inline constexpr WaitStackId kNoWaitStack{0};

// Where a thread stopped running, told once for all waits on this stack.
struct WaitStack {
  Pid pid = kNoPid;
  Tid tid = kNoTid;
  WaitStackId id = kNoWaitStack;
  // The kernel took this stack for that one: told now and then to see if it is. `id` is its own.
  WaitStackId same_as = kNoWaitStack;
  int32_t system_call = -1;                      // the machine's number; -1: none
  std::array<uint64_t, 6> arguments{};           // of the system call
  std::optional<UserRegisters> registers;        // of user mode
  std::vector<RuntimeAddress> kernel_callchain;  // leaf first
  std::vector<RuntimeAddress> user_callchain;    // by frame pointers, leaf first; may be empty
  std::vector<std::byte> stack;                  // from the user stack pointer upwards
  bool is_of_sleeper = false;  // it slept when we came, and may do so until the end
  // Of one that sleeps; else each of its waits tells its own.
  PythonStackId python = kNoPythonStack;
};

// What a descriptor of the target leads to.
struct WaitObject {
  enum class Kind : uint8_t {
    kOther,
    kSocket,
    kListeningSocket,
    kPipe,
    kFile,
    kDevice,
    kEpoll,
    kEvent,  // eventfd, inotify, signalfd
    kTimer,
  };
  Kind kind = Kind::kOther;
  std::string local;  // sockets: "127.0.0.1:5432", "[::1]:80", "/run/x.sock", "@abstract"
  std::string peer;   // empty: none, or unknown
  std::string path;   // files, as the target sees them
  bool is_udp = false;
  bool is_server_side = false;  // of an accepted connection

  bool operator==(const WaitObject&) const = default;
};

// Why a thread did not run.
enum class OffCpu : uint8_t {
  kBlocked,    // it waits for something
  kRunnable,   // it gave the CPU away, or is new
  kPreempted,  // another thread took its CPU
  kThrottled,  // its control group has used up its quota
  kStopped,
  kTraced,
  kFrozen,
  kStolen,  // it did run by the clock, but its CPU was taken by interrupts or the hypervisor
};

// Waits of one thread that are alike, added up since the last such event.
struct WaitsEnded {
  Pid pid = kNoPid;
  Tid tid = kNoTid;
  WaitStackId stack = kNoWaitStack;
  OffCpu why = OffCpu::kBlocked;
  bool uninterruptible = false;  // no signal ends it
  bool for_device = false;       // the kernel counts it as waiting for input or output
  bool for_gil = false;          // of CPython
  bool for_time = false;         // by a call that waits for descriptors, but of none
  int32_t system_call = -1;
  std::shared_ptr<const WaitObject> object;  // null: none, or unknown
  PythonStackId python = kNoPythonStack;     // told before
  Tid waker = kNoTid;                        // who ended them; locks only
  DurationHistogram times;                   // until they could go on
  Nanoseconds run_queue{};                   // from then until they went on
  uint64_t still_waiting = 0;                // of times.count: the profile ended before they did
};

// The process runs CPython, whose loop is here.
struct PythonFound {
  Pid pid = kNoPid;
  uint32_t version = 0;  // as Py_Version: 0x030b02f0
  struct Range {
    RuntimeAddress start;
    RuntimeAddress end;
    bool operator==(const Range&) const = default;
  };
  std::vector<Range> loop;
};

// The frames of Python code of one thread, leaf first; told once for all that is on this stack, or
// now and then again.
struct PythonStack {
  Pid pid = kNoPid;
  Tid tid = kNoTid;
  PythonStackId id = kNoPythonStack;
  bool is_cut = false;  // there are more, which could not be read
  std::vector<python_raw_frame> raw;
  RuntimeAddress outermost;         // the last of them in the target's memory; 0: not known
  std::vector<PythonFrame> frames;  // the same, read; where `raw` is empty
};

// The name that the program gave to a thread of Python.
struct PythonThreadNamed {
  Pid pid = kNoPid;
  Tid tid = kNoTid;
  std::string name;
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
  std::string build_id;  // lower-case hex; in recordings, where the file has one
  uint64_t device = 0;
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
  kWaitStack,       // `count` waits have no stack, or that of a similar wait: too many were new
  kWait,            // `count` waits are not told at all: too many were of a kind of their own
};

struct EventsLost {
  LossKind kind = LossKind::kRingFull;
  uint64_t count = 0;
};

struct Event {
  Instant when;
  std::variant<StackSample, SwitchIn, SwitchOut, WaitStack, WaitsEnded, PythonFound, PythonStack,
               PythonThreadNamed, ThreadRunTime, MappingAdded, ThreadStarted, ThreadExited,
               ThreadNamed, KernelCodeChanged, EventsLost>
      what;
};

// Is told how stacks of waits are known again. Any thread.
class WaitStackLearner {
 public:
  virtual ~WaitStackLearner() = default;
  // A thread with the same program counter and stack pointer, in the same system call, is on the
  // same stack when it has these return addresses in these places, leaf first.
  virtual void Learn(const WaitStack& stack, std::span<const StackWord> return_addresses) = 0;
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
