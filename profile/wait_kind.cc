#include "profile/wait_kind.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace whyslow {
namespace {

struct KindRow {
  WaitKind kind;
  WaitFamily family;
  std::string_view name;
  std::string_view frame;
};

constexpr std::array kKinds = {
    KindRow{WaitKind::kAccept, WaitFamily::kNetwork, "accept", "[wait: accept]"},
    KindRow{WaitKind::kConnect, WaitFamily::kNetwork, "connect", "[wait: connect]"},
    KindRow{WaitKind::kSocket, WaitFamily::kNetwork, "socket", "[wait: socket]"},
    KindRow{WaitKind::kDns, WaitFamily::kNetwork, "dns", "[wait: dns]"},
    KindRow{WaitKind::kTls, WaitFamily::kNetwork, "tls", "[wait: tls]"},
    KindRow{WaitKind::kPoll, WaitFamily::kPoll, "poll", "[wait: poll]"},
    KindRow{WaitKind::kPipe, WaitFamily::kProcess, "pipe", "[wait: pipe]"},
    KindRow{WaitKind::kFile, WaitFamily::kDisk, "file", "[wait: file]"},
    KindRow{WaitKind::kDisk, WaitFamily::kDisk, "disk", "[wait: disk]"},
    KindRow{WaitKind::kPageFault, WaitFamily::kDisk, "page-fault", "[wait: page-fault]"},
    KindRow{WaitKind::kMutex, WaitFamily::kLock, "mutex", "[wait: mutex]"},
    KindRow{WaitKind::kCondition, WaitFamily::kLock, "condition", "[wait: condition]"},
    KindRow{WaitKind::kSemaphore, WaitFamily::kLock, "semaphore", "[wait: semaphore]"},
    KindRow{WaitKind::kJoin, WaitFamily::kLock, "join", "[wait: join]"},
    KindRow{WaitKind::kGil, WaitFamily::kLock, "gil", "[wait: gil]"},
    KindRow{WaitKind::kFutex, WaitFamily::kLock, "futex", "[wait: futex]"},
    KindRow{WaitKind::kSleep, WaitFamily::kSleep, "sleep", "[wait: sleep]"},
    KindRow{WaitKind::kChild, WaitFamily::kProcess, "child", "[wait: child]"},
    KindRow{WaitKind::kIoUring, WaitFamily::kPoll, "io_uring", "[wait: io_uring]"},
    KindRow{WaitKind::kSignal, WaitFamily::kProcess, "signal", "[wait: signal]"},
    KindRow{WaitKind::kTimer, WaitFamily::kPoll, "timer", "[wait: timer]"},
    KindRow{WaitKind::kEvent, WaitFamily::kPoll, "event", "[wait: event]"},
    KindRow{WaitKind::kSyscall, WaitFamily::kOther, "syscall", "[wait: syscall]"},
    KindRow{WaitKind::kKernel, WaitFamily::kOther, "kernel", "[wait: kernel]"},
    KindRow{WaitKind::kUninterruptible, WaitFamily::kOther, "uninterruptible",
            "[wait: uninterruptible]"},
    KindRow{WaitKind::kStopped, WaitFamily::kHeld, "stopped", "[wait: stopped]"},
    KindRow{WaitKind::kTraced, WaitFamily::kHeld, "traced", "[wait: traced]"},
    KindRow{WaitKind::kFrozen, WaitFamily::kHeld, "frozen", "[wait: frozen]"},
    KindRow{WaitKind::kRunQueue, WaitFamily::kScheduler, "runqueue", "[wait: runqueue]"},
    KindRow{WaitKind::kPreempted, WaitFamily::kScheduler, "preempted", "[wait: preempted]"},
    KindRow{WaitKind::kThrottled, WaitFamily::kScheduler, "throttled", "[wait: throttled]"},
    KindRow{WaitKind::kStolen, WaitFamily::kScheduler, "stolen", "[wait: stolen]"},
    KindRow{WaitKind::kUnknown, WaitFamily::kOther, "unknown", "[wait: unknown]"},
};
static_assert(kKinds.size() == static_cast<size_t>(kLastWaitKind) + 1);
static_assert(std::ranges::all_of(kKinds, [](const KindRow& row) {
  return &row == &kKinds[static_cast<size_t>(row.kind)];
}));

const KindRow& RowOf(WaitKind kind) { return kKinds[static_cast<size_t>(kind)]; }

}  // namespace

std::string_view NameOf(WaitKind kind) { return RowOf(kind).name; }

std::string_view NameOf(WaitFamily family) {
  switch (family) {
    case WaitFamily::kNetwork:
      return "network";
    case WaitFamily::kPoll:
      return "events";
    case WaitFamily::kDisk:
      return "files and disk";
    case WaitFamily::kLock:
      return "locks";
    case WaitFamily::kProcess:
      return "processes and pipes";
    case WaitFamily::kSleep:
      return "sleep";
    case WaitFamily::kScheduler:
      return "scheduler";
    case WaitFamily::kHeld:
      return "held";
    case WaitFamily::kOther:
      break;
  }
  return "other";
}

std::optional<WaitKind> WaitKindNamed(std::string_view name) {
  const auto* const row =
      std::ranges::find_if(kKinds, [name](const KindRow& each) { return each.name == name; });
  return row == kKinds.end() ? std::nullopt : std::optional(row->kind);
}

WaitFamily FamilyOf(WaitKind kind) { return RowOf(kind).family; }

std::string_view FrameNameOf(WaitKind kind) { return RowOf(kind).frame; }

std::optional<WaitKind> WaitKindOfFrame(std::string_view frame) {
  constexpr std::string_view kBegin = "[wait: ";
  if (!frame.starts_with(kBegin)) {
    return std::nullopt;
  }
  frame.remove_prefix(kBegin.size());
  const size_t end = frame.find_first_of(" ]");
  return end == std::string_view::npos ? std::nullopt : WaitKindNamed(frame.substr(0, end));
}

}  // namespace whyslow
