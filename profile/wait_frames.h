// The stacks of a profile as a tree of functions, with what is known of a wait at each place of it.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <tuple>
#include <utility>
#include <vector>

#include "profile/profile.h"
#include "profile/wait_names.h"

namespace whyslow {

struct WaitFrame;
using WaitFrameIndex = Index<WaitFrame>;

// A function called from another one. Unlike a StackNode it is the same for all addresses of the
// function; inlined functions are frames of their own, and a location without names is one
// function.
struct WaitFrame {
  WaitFrameIndex parent;  // not valid: the root of its process, which is no function
  uint32_t depth = 0;
  FrameTraits traits;

  // Of the stack from the root down to here, as a wait here sees it:
  bool in_kernel = false;
  bool is_fault = false;
  bool on_page = false;
  bool on_device = false;
  bool resolves = false;
  bool in_ares = false;    // nothing but c-ares and libraries before the wait
  bool truncated = false;  // callers are missing
  bool working = false;    // something is under way
  bool has_user = false;   // not of kernel frames alone
  TlsUse tls = TlsUse::kNone;
  WaitKind lock = WaitKind::kFutex;
  LockRank lock_rank = LockRank::kNone;
  // What is left when the libraries' and the well-known functions around a wait are taken off: the
  // function of the program that waits. Not valid: there is none.
  WaitFrameIndex top;
  bool waits = false;  // well-known functions that wait for work were taken off

  bool in_program = false;     // a caller, or this, is not of what starts threads
  bool is_entry = false;       // the first such: main, or a thread's function
  bool calls_program = false;  // calls functions of the program, not only those that wait
};

// Used once, for one profile that it borrows. Stacks of different processes stay apart.
class WaitFrames {
 public:
  explicit WaitFrames(const Profile& profile);

  // The innermost frame of the stack; the root of the process for an empty one. `process` is any
  // number that tells processes by their names.
  WaitFrameIndex FrameOf(uint32_t process, StackIndex stack);
  // Some stack of the process takes connections.
  bool Accepts(uint32_t process) const;

  const WaitFrame& operator[](WaitFrameIndex index) const { return frames_[index.value()]; }
  // Callers stand before what they call.
  size_t size() const { return frames_.size(); }

 private:
  // parent, module, function's name or location, which of both
  using FrameKey = std::tuple<WaitFrameIndex, uint32_t, uint32_t, bool>;

  WaitFrameIndex RootOf(uint32_t process);
  WaitFrameIndex Known(uint32_t process, StackIndex stack) const;
  void Remember(uint32_t process, StackIndex stack, WaitFrameIndex frame);
  WaitFrameIndex Enter(WaitFrameIndex parent, LocationIndex location);
  WaitFrameIndex Child(WaitFrameIndex parent, LocationIndex location, StringIndex name);
  WaitFrame Below(WaitFrameIndex parent, LocationIndex location, StringIndex name);
  FrameTraits TraitsOf(const Location& location, StringIndex name);
  ModuleKind KindOf(const Location& location) const;

  const Profile& profile_;
  std::vector<WaitFrame> frames_;
  std::vector<FrameTraits> module_traits_;
  std::vector<bool> is_libc_;
  std::vector<bool> is_python_;
  absl::flat_hash_map<StringIndex, FrameTraits> user_names_;
  absl::flat_hash_map<StringIndex, FrameTraits> kernel_names_;
  absl::flat_hash_map<uint32_t, WaitFrameIndex> roots_;
  absl::flat_hash_map<FrameKey, WaitFrameIndex> children_;
  // Nearly every stack is one process's only; where others share it, theirs stand in the map.
  struct FirstUse {
    uint32_t process = 0;
    WaitFrameIndex frame;
  };
  std::vector<FirstUse> stacks_;
  absl::flat_hash_map<std::pair<uint32_t, StackIndex>, WaitFrameIndex> shared_stacks_;
  absl::flat_hash_map<uint32_t, bool> accepts_;  // by process
};

}  // namespace whyslow
