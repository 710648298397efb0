#include "profile/idle_waits.h"

#include <algorithm>

namespace whyslow {
namespace {

// What besides the place makes a wait of this kind idle.
enum class IdleWhen : uint8_t {
  kNever,
  kAnywhere,
  kAtBase,
  kInLoop,       // the function that waits does other things too
  kInKnownWait,  // by the name of a function around the wait
  kInRuntime,    // ... and nothing of the program is on the stack
  kForRequests,  // the socket of a client of this server
};

IdleWhen IdleRuleOf(WaitKind kind) {
  switch (kind) {
    case WaitKind::kAccept:  // nobody has asked for anything yet
      return IdleWhen::kAnywhere;
    case WaitKind::kPoll:
    case WaitKind::kEvent:
    case WaitKind::kCondition:
    case WaitKind::kSemaphore:
    case WaitKind::kSignal:
    case WaitKind::kJoin:
    case WaitKind::kChild:
      return IdleWhen::kAtBase;
    case WaitKind::kTimer:
      return IdleWhen::kInLoop;
    case WaitKind::kFutex:
    case WaitKind::kPipe:
    case WaitKind::kIoUring:
      return IdleWhen::kInKnownWait;
    case WaitKind::kSleep:
      return IdleWhen::kInRuntime;
    case WaitKind::kSocket:
    case WaitKind::kTls:
      return IdleWhen::kForRequests;
    default:
      return IdleWhen::kNever;
  }
}

IdleWhen IdleRuleOf(const SeenWait& wait, const WaitFrame& at) {
  if (wait.kind == WaitKind::kTls && at.tls == TlsUse::kHandshake) {
    return IdleWhen::kNever;
  }
  // A poll for one descriptor is as good as the call that would read from it.
  if (wait.kind == WaitKind::kPoll && !wait.labels->peer_port.empty()) {
    return IdleWhen::kForRequests;
  }
  return IdleRuleOf(wait.kind);
}

// The thread could have gone on, but was kept from it.
bool IsKeptFromCpu(WaitKind kind) { return FamilyOf(kind) == WaitFamily::kScheduler; }

}  // namespace

void IdleWaits::AddRunning(const WaitLabels& labels, WaitFrameIndex frame) {
  bases_.AddSample(labels.thread, labels.process, frame);
}

void IdleWaits::AddWait(const SeenWait& wait) {
  const WaitFrame& at = frames_[wait.frame];
  const WaitLabels& labels = *wait.labels;
  bases_.AddSample(labels.thread, labels.process, wait.frame);
  if (wait.kind == WaitKind::kAccept) {
    listening_[labels.process_name].insert(labels.peer_port);
  }
  if (at.waits && at.top.valid() && IdleRuleOf(wait, at) != IdleWhen::kNever) {
    bases_.AddLoop(labels.process, at.top);
  }
  waits_.push_back(wait);
}

std::vector<bool> IdleWaits::Decide() && {
  bases_.Finish();
  std::vector<bool> idle(waits_.size());
  absl::flat_hash_map<ThreadStack, bool> idle_stacks;  // all their waits are
  for (size_t i = 0; i < waits_.size(); ++i) {
    const SeenWait& wait = waits_[i];
    if (!IsKeptFromCpu(wait.kind)) {
      idle[i] = IsIdle(wait);
      const auto [row, is_new] =
          idle_stacks.try_emplace(ThreadStack(wait.labels->thread, wait.stack), idle[i]);
      row->second = row->second && idle[i];
    }
  }
  for (size_t i = 0; i < waits_.size(); ++i) {
    const SeenWait& wait = waits_[i];
    if (IsKeptFromCpu(wait.kind)) {
      const auto row = idle_stacks.find(ThreadStack(wait.labels->thread, wait.stack));
      idle[i] = row != idle_stacks.end() && row->second;
    }
  }
  return idle;
}

bool IdleWaits::IsIdle(const SeenWait& wait) const {
  const WaitFrame& at = frames_[wait.frame];
  const IdleWhen when = IdleRuleOf(wait, at);
  if (when == IdleWhen::kAnywhere) {
    return !at.working && !at.truncated && at.has_user;
  }
  if (!IsAtBase(wait, at)) {
    return false;
  }
  switch (when) {
    case IdleWhen::kNever:
    case IdleWhen::kAnywhere:
      return false;
    case IdleWhen::kAtBase:
      return true;
    case IdleWhen::kInLoop:
      return at.waits || IsLoop(at);
    case IdleWhen::kInKnownWait:
      return at.waits;
    case IdleWhen::kInRuntime:
      return at.waits && !at.top.valid();
    case IdleWhen::kForRequests:
      return at.waits || (IsLoop(at) && ReadsRequests(wait));
  }
  return false;
}

bool IdleWaits::IsAtBase(const SeenWait& wait, const WaitFrame& at) const {
  if (at.truncated || at.working || !at.has_user) {
    return false;
  }
  WaitFrameIndex top_index = at.top;
  // In a stripped server, the function around epoll_wait that its event loop calls.
  while (wait.kind == WaitKind::kPoll && top_index.valid() && frames_[top_index].traits.nameless) {
    top_index = frames_[frames_[top_index].parent].top;
  }
  if (!top_index.valid()) {
    return true;  // a thread of a library alone
  }
  const WaitFrame& top = frames_[top_index];
  return top.is_entry || top.traits.is_base || bases_.IsBase(top_index);
}

bool IdleWaits::IsLoop(const WaitFrame& at) const {
  return at.top.valid() && frames_[at.top].calls_program;
}

bool IdleWaits::ReadsRequests(const SeenWait& wait) const {
  const uint32_t name = wait.labels->process_name;
  const auto ports = listening_.find(name);
  if (ports == listening_.end()) {
    return frames_.Accepts(name);
  }
  return wait.labels->peer_port.empty() || ports->second.contains(std::string_view()) ||
         ports->second.contains(wait.labels->peer_port);
}

}  // namespace whyslow
