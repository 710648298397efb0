#include "profile/wait_reasons.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "profile/idle_waits.h"
#include "profile/scheduler_frames.h"
#include "profile/wait_facts.h"
#include "profile/wait_frames.h"
#include "profile/wait_kind.h"
#include "profile/wait_labels.h"
#include "profile/wait_rewriter.h"

namespace whyslow {
namespace {

bool IsOneOf(WaitKind kind, std::initializer_list<WaitKind> kinds) {
  return std::ranges::find(kinds, kind) != kinds.end();
}

// The kernel says what was behind a system call.
WaitKind RefineByKernel(WaitKind kind, const WaitFrame& at) {
  if (!IsOneOf(kind, {WaitKind::kFile, WaitKind::kDisk, WaitKind::kSyscall, WaitKind::kKernel,
                      WaitKind::kUninterruptible})) {
    return kind;
  }
  if (at.is_fault) {
    return WaitKind::kPageFault;
  }
  const bool on_device = kind == WaitKind::kFile ? at.on_page || at.on_device : at.on_device;
  return on_device ? WaitKind::kDisk : kind;
}

bool AsksResolver(const WaitFrame& at, const WaitLabels& labels) {
  return at.resolves || at.in_ares || labels.to_resolver;
}

WaitKind Refine(WaitKind kind, const WaitFrame& at, const WaitLabels& labels) {
  switch (kind) {
    case WaitKind::kFutex:
      return at.lock_rank == LockRank::kNone ? kind : at.lock;
    case WaitKind::kSocket:
    case WaitKind::kPoll:
      if (AsksResolver(at, labels)) {
        return WaitKind::kDns;
      }
      return at.tls == TlsUse::kNone ? kind : WaitKind::kTls;
    case WaitKind::kConnect:
      return AsksResolver(at, labels) ? WaitKind::kDns : kind;
    default:
      return RefineByKernel(kind, at);
  }
}

// The kinds of [wait] leaves, each location once.
std::vector<std::optional<WaitKind>> KindsOfLocations(const Profile& profile) {
  std::vector<std::optional<WaitKind>> kinds(profile.locations.size());
  for (size_t i = 0; i < kinds.size(); ++i) {
    kinds[i] = WaitKindOfFrame(WaitFrameAt(profile, LocationIndex(static_cast<uint32_t>(i))));
  }
  return kinds;
}

bool HasWaits(const Profile& profile) {
  return std::ranges::any_of(profile.modules,
                             [](const Module& module) { return module.kind == ModuleKind::kWait; });
}

}  // namespace

Profile RefineWaits(Profile profile) {
  if (!HasWaits(profile)) {
    return profile;
  }
  const std::vector<std::optional<WaitKind>> kinds = KindsOfLocations(profile);
  WaitFrames frames(profile);
  WaitLabelReader label_reader(profile);
  IdleWaits idle(frames);
  std::vector<WaitChange> changes;
  for (size_t i = 0; i < profile.samples.size(); ++i) {
    const Sample& sample = profile.samples[i];
    const WaitLabels& labels = label_reader.Read(sample.labels);
    StackIndex stack = sample.stack;
    const std::optional<WaitKind> kind =
        stack.valid() ? kinds[profile.StackAt(stack).location.value()] : std::nullopt;
    if (!kind) {
      idle.AddRunning(labels, frames.FrameOf(labels.process_name, stack));
      continue;
    }
    const StackIndex all_callers = profile.StackAt(stack).parent;
    const WaitFrameIndex frame = frames.FrameOf(labels.process_name, all_callers);
    stack = WithoutSchedulerFrames(profile, all_callers);
    const WaitKind refined = Refine(*kind, frames[frame], labels);
    idle.AddWait({.kind = refined, .labels = &labels, .stack = stack, .frame = frame});
    changes.push_back({.sample = i,
                       .kind = refined,
                       .tls = refined == WaitKind::kTls ? frames[frame].tls : TlsUse::kNone,
                       .callers = stack});
  }
  const std::vector<bool> is_idle = std::move(idle).Decide();
  for (size_t i = 0; i < changes.size(); ++i) {
    changes[i].idle = is_idle[i];
  }
  return RewriteWaits(std::move(profile), changes);
}

}  // namespace whyslow
