#include "profile/wait_frames.h"

#include <algorithm>

namespace whyslow {
namespace {

// Between the program and its wait: nothing that the program does itself.
bool IsAroundWaits(const FrameTraits& traits) {
  return traits.is_runtime || traits.waits || traits.reads || traits.tls != TlsUse::kNone;
}

// The outermost function of a lock decides: std::thread::join is made of pthread_join. But what
// knows more wins, and a condition that came true takes its mutex again.
void FollowLock(const FrameTraits& traits, WaitFrame& frame) {
  if (traits.lock_rank == LockRank::kNone) {
    if (!traits.lock_neutral) {
      frame.lock_rank = LockRank::kNone;
    }
    return;
  }
  const bool takes_again = frame.lock == WaitKind::kCondition && traits.takes_mutex &&
                           frame.lock_rank == LockRank::kLock;
  if (traits.lock_rank > frame.lock_rank || takes_again) {
    frame.lock = traits.lock;
    frame.lock_rank = std::max(traits.lock_rank, frame.lock_rank);
  }
}

void EnterKernel(const FrameTraits& traits, WaitFrame& frame) {
  frame.in_kernel = true;
  frame.is_fault |= traits.is_fault;
  frame.on_page |= traits.on_page;
  frame.on_device |= traits.on_device;
}

void EnterUser(const FrameTraits& traits, WaitFrame& frame) {
  frame.in_kernel = frame.is_fault = frame.on_page = frame.on_device = false;
  frame.has_user = true;
  frame.resolves |= traits.resolves;
  frame.in_ares = traits.is_ares || (frame.in_ares && traits.is_runtime);
  frame.working |= traits.is_work;
  // A handshake may be made within a read or a write.
  if (traits.tls != TlsUse::kNone && frame.tls != TlsUse::kHandshake) {
    frame.tls = traits.tls == TlsUse::kSome && frame.tls != TlsUse::kNone ? frame.tls : traits.tls;
  }
  FollowLock(traits, frame);
  frame.is_entry = !frame.in_program && !traits.is_runtime;
  frame.in_program |= !traits.is_runtime;
}

}  // namespace

WaitFrames::WaitFrames(const Profile& profile) : profile_(profile), stacks_(profile.stacks.size()) {
  for (const Module& module : profile.modules) {
    const std::string_view path = profile.Text(module.path);
    const bool is_code = module.kind == ModuleKind::kFile || module.kind == ModuleKind::kVdso;
    module_traits_.push_back(is_code ? TraitsOfModule(path) : FrameTraits{});
    is_libc_.push_back(is_code && IsLibc(path));
    is_python_.push_back(is_code && IsPythonInterpreter(path));
  }
}

WaitFrameIndex WaitFrames::RootOf(uint32_t process) {
  const auto [root, is_new] =
      roots_.try_emplace(process, WaitFrameIndex(static_cast<uint32_t>(frames_.size())));
  if (is_new) {
    frames_.emplace_back();
  }
  return root->second;
}

WaitFrameIndex WaitFrames::FrameOf(uint32_t process, StackIndex stack) {
  const size_t known = frames_.size();
  // Stacks can be thousands of calls deep, so the walk is explicit, not recursive.
  std::vector<StackIndex> pending;
  WaitFrameIndex frame;
  for (; stack.valid(); stack = profile_.StackAt(stack).parent) {
    frame = Known(process, stack);
    if (frame.valid()) {
      break;
    }
    pending.push_back(stack);
  }
  if (!frame.valid()) {
    frame = RootOf(process);
  }
  for (size_t i = pending.size(); i-- > 0;) {
    frame = Enter(frame, profile_.StackAt(pending[i]).location);
    Remember(process, pending[i], frame);
  }
  for (size_t i = known; i < frames_.size(); ++i) {
    accepts_[process] |= frames_[i].traits.accepts;
  }
  return frame;
}

WaitFrameIndex WaitFrames::Known(uint32_t process, StackIndex stack) const {
  const FirstUse& first = stacks_[stack.value()];
  if (!first.frame.valid() || first.process == process) {
    return first.frame;
  }
  const auto row = shared_stacks_.find({process, stack});
  return row != shared_stacks_.end() ? row->second : WaitFrameIndex();
}

void WaitFrames::Remember(uint32_t process, StackIndex stack, WaitFrameIndex frame) {
  FirstUse& first = stacks_[stack.value()];
  if (first.frame.valid()) {
    shared_stacks_.emplace(std::pair(process, stack), frame);
  } else {
    first = {.process = process, .frame = frame};
  }
}

bool WaitFrames::Accepts(uint32_t process) const {
  const auto row = accepts_.find(process);
  return row != accepts_.end() && row->second;
}

WaitFrameIndex WaitFrames::Enter(WaitFrameIndex parent, LocationIndex location) {
  const std::vector<Line>& lines = profile_.LocationAt(location).lines;
  if (lines.empty()) {
    return Child(parent, location, kEmptyString);
  }
  for (size_t i = lines.size(); i-- > 0;) {  // innermost first
    const FunctionIndex function = lines[i].function;
    parent = Child(parent, location,
                   function.valid() ? profile_.FunctionAt(function).name : kEmptyString);
  }
  return parent;
}

WaitFrameIndex WaitFrames::Child(WaitFrameIndex parent, LocationIndex location, StringIndex name) {
  const uint32_t module = profile_.LocationAt(location).module.value();
  const bool nameless = name == kEmptyString;
  const FrameKey key(parent, module, nameless ? location.value() : name.value(), nameless);
  const auto [child, is_new] =
      children_.try_emplace(key, WaitFrameIndex(static_cast<uint32_t>(frames_.size())));
  if (is_new) {
    WaitFrame frame = Below(parent, location, name);
    if (frame.top == child->second && frames_[parent.value()].top.valid()) {
      frames_[frames_[parent.value()].top.value()].calls_program = true;
    }
    frames_.push_back(frame);
  }
  return child->second;
}

WaitFrame WaitFrames::Below(WaitFrameIndex parent, LocationIndex location, StringIndex name) {
  const Location& where = profile_.LocationAt(location);
  const ModuleKind kind = KindOf(where);
  WaitFrame frame = frames_[parent.value()];
  frame.parent = parent;
  frame.depth += 1;
  frame.calls_program = false;
  frame.is_entry = false;
  frame.traits = TraitsOf(where, name);
  if (kind == ModuleKind::kNote) {
    frame.truncated |= profile_.Text(name).starts_with("[truncated");
    return frame;
  }
  if (kind == ModuleKind::kKernel) {
    EnterKernel(frame.traits, frame);
    return frame;
  }
  EnterUser(frame.traits, frame);
  if (IsAroundWaits(frame.traits)) {
    frame.waits |= frame.traits.waits;
  } else {
    frame.top = WaitFrameIndex(static_cast<uint32_t>(frames_.size()));
    frame.waits = false;
  }
  return frame;
}

ModuleKind WaitFrames::KindOf(const Location& location) const {
  return location.module.valid() ? profile_.ModuleAt(location.module).kind : ModuleKind::kFile;
}

FrameTraits WaitFrames::TraitsOf(const Location& location, StringIndex name) {
  const ModuleKind kind = KindOf(location);
  const bool nameless = name == kEmptyString;
  if (kind == ModuleKind::kKernel) {
    const auto [row, is_new] = kernel_names_.try_emplace(name);
    if (is_new && !nameless) {
      row->second = TraitsOfKernelFunction(profile_.Text(name));
    }
    return row->second;
  }
  FrameTraits traits;
  if (kind == ModuleKind::kPython) {
    // It stands for the interpreter's loop.
    traits.lock = WaitKind::kGil;
    traits.lock_rank = LockRank::kInterpreter;
    return traits;
  }
  if (!nameless) {
    const auto [row, is_new] = user_names_.try_emplace(name);
    if (is_new) {
      row->second = TraitsOfUserFunction(profile_.Text(name));
    }
    traits = row->second;
  }
  if (!location.module.valid()) {
    return traits;
  }
  const uint32_t module = location.module.value();
  traits |= module_traits_[module];
  if (nameless) {
    traits.nameless = true;
    traits.lock_neutral = traits.is_runtime || is_python_[module];
  } else if (is_libc_[module] && traits.lock_rank == LockRank::kNone && !traits.lock_neutral) {
    // Its locks are mutexes: of the heap, of streams, of the loader.
    traits.lock = WaitKind::kMutex;
    traits.lock_rank = LockRank::kInsideLibc;
  }
  return traits;
}

}  // namespace whyslow
