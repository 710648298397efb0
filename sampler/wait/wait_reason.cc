#include "sampler/wait/wait_reason.h"

#include "sampler/target/system_calls.h"
#include "sampler/wait/protocols.h"
#include "sampler/wait/system_call_kinds.h"

namespace whyslow {
namespace {

using Kind = WaitObject::Kind;

WaitKind KindOfHold(OffCpu why) {
  switch (why) {
    case OffCpu::kRunnable:
      return WaitKind::kRunQueue;
    case OffCpu::kPreempted:
      return WaitKind::kPreempted;
    case OffCpu::kThrottled:
      return WaitKind::kThrottled;
    case OffCpu::kStopped:
      return WaitKind::kStopped;
    case OffCpu::kTraced:
      return WaitKind::kTraced;
    case OffCpu::kFrozen:
      return WaitKind::kFrozen;
    case OffCpu::kStolen:
      return WaitKind::kStolen;
    case OffCpu::kBlocked:
      break;
  }
  return WaitKind::kUnknown;
}

// read() and poll() wait for whatever their descriptor is; connect() says it all.
WaitKind KindOfObject(const WaitObject& object, WaitKind by_call) {
  const bool by_descriptor = by_call == WaitKind::kFile || by_call == WaitKind::kPoll ||
                             by_call == WaitKind::kPipe || by_call == WaitKind::kSyscall;
  if (!by_descriptor) {
    return by_call;
  }
  switch (object.kind) {
    case Kind::kSocket:
      return WaitKind::kSocket;
    case Kind::kListeningSocket:
      return WaitKind::kAccept;
    case Kind::kPipe:
      return WaitKind::kPipe;
    case Kind::kEvent:
      return WaitKind::kEvent;
    case Kind::kTimer:
      return WaitKind::kTimer;
    case Kind::kEpoll:
      return WaitKind::kPoll;
    case Kind::kDevice:
      return by_call == WaitKind::kFile ? WaitKind::kPipe : by_call;
    case Kind::kFile:
    case Kind::kOther:
      break;
  }
  return by_call;
}

WaitKind KindOfBlock(const WaitsEnded& waits, WaitKind by_call) {
  if (waits.system_call < 0) {
    return waits.for_device || waits.uninterruptible ? WaitKind::kPageFault : WaitKind::kKernel;
  }
  const WaitKind kind = waits.object == nullptr ? by_call : KindOfObject(*waits.object, by_call);
  if (kind == WaitKind::kFile && waits.for_device) {
    return WaitKind::kDisk;
  }
  if (kind == WaitKind::kSyscall && waits.uninterruptible) {
    return waits.for_device ? WaitKind::kDisk : WaitKind::kUninterruptible;
  }
  return kind;
}

void DescribeObject(const WaitObject& object, WaitReason& reason) {
  const bool own_end = object.kind == Kind::kListeningSocket || object.is_server_side;
  if (object.kind == Kind::kSocket || object.kind == Kind::kListeningSocket) {
    reason.peer = own_end ? object.local : object.peer;
    reason.protocol = ProtocolAt(reason.peer);
    if (reason.protocol == "dns" && reason.kind != WaitKind::kAccept) {
      reason.kind = WaitKind::kDns;
    }
  } else {
    reason.file = object.path;
  }
}

}  // namespace

WaitReason ReasonOf(const WaitsEnded& waits) {
  WaitReason reason;
  if (waits.why != OffCpu::kBlocked) {
    reason.kind = KindOfHold(waits.why);
    return reason;
  }
  if (waits.for_gil || waits.for_time) {
    reason.kind = waits.for_gil ? WaitKind::kGil : WaitKind::kSleep;
    reason.system_call = SystemCallOf(waits.system_call).name;
    return reason;
  }
  if (waits.stack == kNoWaitStack && waits.system_call < 0 && waits.still_waiting == 0) {
    return reason;
  }
  const SystemCall call = SystemCallOf(waits.system_call);
  reason.kind = KindOfBlock(waits, KindOfSystemCall(call.name));
  reason.system_call = call.name;
  if (waits.uninterruptible && !waits.for_device) {
    reason.state = "uninterruptible";
  }
  if (waits.object != nullptr) {
    DescribeObject(*waits.object, reason);
  }
  return reason;
}

}  // namespace whyslow
