// Stacks of Python code, known by number, and their places among native frames.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "profile/profile.h"
#include "sampler/event.h"
#include "sampler/profile_writer.h"

namespace whyslow {

// Native frames know where C code ran the interpreter's loop, but not for whom; Python frames know
// their code and with which of them a loop was entered. Both are walked at one moment, so that the
// loops on the native stack and the entries among the Python frames are the same, in order:
//
//   native (leaf first)   Python (leaf first)      merged
//   time_sleep                                     time_sleep
//   loop              <-  inner                    inner
//                         middle, an entry         middle
//   sorted                                         sorted
//   loop              <-  outer, an entry          outer
//   main                                           main
//
// Used by one thread, the worker.
class PythonStacks {
 public:
  enum class Outcome : uint8_t {
    kNone,    // there are no Python frames
    kMerged,  // every loop met its frames
    kAtEdge,  // but one was being entered or left
    kApart,   // they do not match: the Python frames stand together
  };

  // Borrows it. `keeps_loops`: frames of the loop are shown too.
  PythonStacks(ProfileWriter& writer, bool keeps_loops)
      : writer_(writer), keeps_loops_(keeps_loops) {}

  void Add(const PythonStack& stack);
  // This frame is one of the interpreter's loop.
  void MarkLoop(LocationIndex frame) { loops_.insert(frame); }
  // Puts the Python frames in place of the loops. Leaf first. An unknown number leaves a note.
  Outcome Merge(Pid pid, PythonStackId id, std::vector<LocationIndex>& frames);

 private:
  // Frames that one loop runs: the last one is the entry.
  struct Run {
    uint32_t begin = 0;
    uint32_t end = 0;
  };
  struct Known {
    std::vector<LocationIndex> frames;
    std::vector<Run> runs;
    bool is_cut = false;
  };
  using Key = std::pair<Pid, PythonStackId>;

  const Known* Find(const Key& key);
  // Does the native stack lead to the thread's beginning?
  bool IsWhole(const std::vector<LocationIndex>& frames) const;
  void Append(const Known& known, size_t run, std::vector<LocationIndex>& out) const;

  ProfileWriter& writer_;
  bool keeps_loops_;
  absl::flat_hash_set<LocationIndex> loops_;
  // Two generations: what nobody asks for any more is forgotten with the older one.
  absl::flat_hash_map<Key, Known> young_;
  absl::flat_hash_map<Key, Known> old_;
  std::vector<size_t> places_;         // of the loops on the stack
  std::vector<LocationIndex> merged_;  // members to keep their memory
};

}  // namespace whyslow
