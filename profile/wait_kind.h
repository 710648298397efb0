// What threads wait for: the closed list of the label `wait`, and how kinds belong together.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace whyslow {

// A waiting sample's leaf is the location `[wait: KIND]` in the module [wait]; its label `wait` is
// KIND. What else is known stands in the labels `peer`, `protocol`, `file`, `syscall`, `waker`,
// `waker_tid`, `state` and `idle`.
enum class WaitKind : uint8_t {
  // What the program asked for.
  kAccept,     // a listening socket
  kConnect,    // a connection that is being made
  kSocket,     // data of a socket, or room in one
  kDns,        // an answer of the resolver
  kTls,        // data of a socket, for a TLS connection that is being made or used
  kPoll,       // poll, select, epoll on several descriptors, or on none that is known
  kPipe,       // pipes and terminals
  kFile,       // a file by a system call: read, write, fsync, open, lock
  kDisk,       // the same, where the kernel says that it waits for a device
  kPageFault,  // memory that has to be read first
  kMutex,
  kCondition,
  kSemaphore,
  kJoin,
  kGil,    // CPython's global interpreter lock
  kFutex,  // a lock of unknown kind
  kSleep,
  kChild,  // a process that is waited for
  kIoUring,
  kSignal,   // sigwait, pause
  kTimer,    // timerfd
  kEvent,    // eventfd, inotify, signalfd
  kSyscall,  // another system call, named by the label `syscall`
  kKernel,   // in the kernel for a reason that is not known
  // What was done to it.
  kUninterruptible,  // in the kernel, where no signal ends it
  kStopped,          // SIGSTOP, SIGTSTP
  kTraced,           // a debugger
  kFrozen,           // its control group is frozen
  kRunQueue,         // could run, but no CPU took it
  kPreempted,        // another thread took its CPU
  kThrottled,        // its control group has used up its quota of CPU time
  kStolen,           // the CPU itself was taken by the hypervisor or by interrupts
  kUnknown,          // it waited since before the profile began, and nobody knows for what
};
inline constexpr WaitKind kLastWaitKind = WaitKind::kUnknown;

// How kinds are coloured and summed up.
enum class WaitFamily : uint8_t {
  kNetwork,  // accept, connect, socket, dns, tls
  kPoll,     // poll, event, timer
  kDisk,     // file, disk, page-fault
  kLock,     // mutex .. futex
  kProcess,  // pipe, child, signal
  kSleep,
  kScheduler,  // run-queue, preempted, throttled, stolen: somebody else's doing
  kHeld,       // stopped, traced, frozen
  kOther,
};
inline constexpr WaitFamily kLastWaitFamily = WaitFamily::kOther;

// "socket", "page-fault", "run-queue" is "runqueue": as in labels.
std::string_view NameOf(WaitKind kind);
std::string_view NameOf(WaitFamily family);
std::optional<WaitKind> WaitKindNamed(std::string_view name);
WaitFamily FamilyOf(WaitKind kind);
// "[wait: socket]".
std::string_view FrameNameOf(WaitKind kind);
// The other way round; also of a frame with more in it, such as "[wait: socket 10.0.0.1:5432]".
std::optional<WaitKind> WaitKindOfFrame(std::string_view frame);

}  // namespace whyslow
