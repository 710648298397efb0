// Where each thread always is: the functions that it never left while the profile was taken.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "profile/wait_frames.h"

namespace whyslow {

// A frame is a base when every thread that was ever in it was in it in all of its samples. A pool's
// worker is always in its loop, but leaves each handler: one that is seen outside of a handler
// shows, for all threads of its process's name, that time in there is work.
//
//   ThreadBases bases(frames);
//   bases.AddSample(thread, process, frame);   // all samples, waiting or not
//   bases.AddLoop(process, frame);             // frames that are known to be loops
//   bases.Finish();
//   bases.IsBase(frames[leaf].top);
class ThreadBases {
 public:
  explicit ThreadBases(const WaitFrames& frames) : frames_(frames) {}

  // Samples that tell nothing of where the program is are left out: those without a function of the
  // program (threads that begin or end), and those whose callers are missing. `process` is one
  // process here, not all of its name.
  void AddSample(uint32_t thread, uint32_t process, WaitFrameIndex frame);
  // Here threads of the process wait for what comes next; so one that is deeper does something.
  void AddLoop(uint32_t process, WaitFrameIndex loop);
  void Finish();

  bool IsBase(WaitFrameIndex frame) const {
    return frames_[frame].depth <= base_depth_[frame.value()];
  }

 private:
  // The first and the last of a thread's frames in the order of a walk over the tree: what both
  // have in common, all have.
  struct Thread {
    uint32_t process = 0;
    WaitFrameIndex first;
    WaitFrameIndex last;
  };

  std::vector<uint32_t> PositionsInWalk() const;
  WaitFrameIndex CommonCaller(WaitFrameIndex a, WaitFrameIndex b) const;
  uint32_t DepthOfBase(const Thread& thread) const;

  const WaitFrames& frames_;
  struct Seen {
    uint32_t thread;
    uint32_t process;
    WaitFrameIndex top;
  };
  std::vector<Seen> seen_;
  absl::flat_hash_set<std::pair<uint32_t, WaitFrameIndex>> loops_;
  std::vector<uint32_t> base_depth_;  // by frame: down to where it is base, for all threads in it
};

}  // namespace whyslow
