#include "profile/thread_bases.h"

#include <algorithm>
#include <limits>

namespace whyslow {

void ThreadBases::AddSample(uint32_t thread, uint32_t process, WaitFrameIndex frame) {
  const WaitFrame& row = frames_[frame];
  if (row.top.valid() && !row.truncated) {
    seen_.push_back({.thread = thread, .process = process, .top = row.top});
  }
}

void ThreadBases::AddLoop(uint32_t process, WaitFrameIndex loop) { loops_.emplace(process, loop); }

void ThreadBases::Finish() {
  const std::vector<uint32_t> positions = PositionsInWalk();
  absl::flat_hash_map<uint32_t, Thread> threads;
  for (const Seen& seen : seen_) {
    Thread& thread = threads[seen.thread];
    thread.process = seen.process;
    if (!thread.first.valid() || positions[seen.top.value()] < positions[thread.first.value()]) {
      thread.first = seen.top;
    }
    if (!thread.last.valid() || positions[seen.top.value()] > positions[thread.last.value()]) {
      thread.last = seen.top;
    }
  }
  absl::flat_hash_map<uint32_t, uint32_t> depths;
  for (const auto& [number, thread] : threads) {
    depths[number] = DepthOfBase(thread);
  }
  base_depth_.assign(frames_.size(), std::numeric_limits<uint32_t>::max());
  for (const Seen& seen : seen_) {
    uint32_t& depth = base_depth_[seen.top.value()];
    depth = std::min(depth, depths[seen.thread]);
  }
  // Callers stand first, so from the back each is complete when its turn comes.
  for (size_t i = frames_.size(); i-- > 0;) {
    const WaitFrameIndex caller = frames_[WaitFrameIndex(static_cast<uint32_t>(i))].parent;
    if (caller.valid()) {
      uint32_t& depth = base_depth_[caller.value()];
      depth = std::min(depth, base_depth_[i]);
    }
  }
}

std::vector<uint32_t> ThreadBases::PositionsInWalk() const {
  std::vector<uint32_t> sizes(frames_.size(), 1);
  const auto caller_of = [&](size_t i) {
    return frames_[WaitFrameIndex(static_cast<uint32_t>(i))].parent;
  };
  for (size_t i = frames_.size(); i-- > 0;) {
    if (const WaitFrameIndex caller = caller_of(i); caller.valid()) {
      sizes[caller.value()] += sizes[i];
    }
  }
  std::vector<uint32_t> positions(frames_.size());
  std::vector<uint32_t> next(frames_.size());  // of the next callee
  uint32_t next_root = 0;
  for (size_t i = 0; i < frames_.size(); ++i) {
    const WaitFrameIndex caller = caller_of(i);
    uint32_t& place = caller.valid() ? next[caller.value()] : next_root;
    positions[i] = place;
    place += sizes[i];
    next[i] = positions[i] + 1;
  }
  return positions;
}

WaitFrameIndex ThreadBases::CommonCaller(WaitFrameIndex a, WaitFrameIndex b) const {
  while (a != b) {
    WaitFrameIndex& deeper = frames_[a].depth >= frames_[b].depth ? a : b;
    deeper = frames_[deeper].parent;
  }
  return a;
}

uint32_t ThreadBases::DepthOfBase(const Thread& thread) const {
  const WaitFrameIndex common = CommonCaller(thread.first, thread.last);
  uint32_t depth = frames_[common].depth;
  for (WaitFrameIndex frame = common; frame.valid(); frame = frames_[frame].parent) {
    if (loops_.contains({thread.process, frame})) {
      depth = frames_[frame].depth;  // the outermost one
    }
  }
  return depth;
}

}  // namespace whyslow
