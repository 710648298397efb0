// A profile as a tree of frames, callers above callees, with the time of each: what a flame graph
// shows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "profile/profile.h"

namespace whyslow {

// One box of the graph, told apart by everything in it.
struct FlameFrame {
  std::string name;
  ModuleKind kind = ModuleKind::kFile;
  std::string module_path;
  // Full path of the source. Part of what tells Python functions apart, which share their file's
  // base name all too often; native functions of one module with one name are one box.
  std::string file;
  bool inlined = false;
  bool leading = false;  // a process or thread name in front of the stack
  bool idle = false;     // a wait of a thread that had nothing to do
};

struct FlameNode {
  static constexpr uint32_t kNoParent = UINT32_MAX;

  uint32_t parent = kNoParent;  // index into FlameTree::nodes
  uint32_t frame = 0;           // index into FlameTree::frames
  int64_t self = 0;             // samples that end here
  int64_t total = 0;            // self and all callees
  int64_t waits = 0;            // how many waits end here; 0 also where nobody counted them
  std::vector<uint32_t> children;
};

// nodes[0] stands for the whole profile and has no frame of its own; a parent comes before its
// children. Children are in order of name, so that two profiles of one program look alike.
struct FlameTree {
  std::vector<FlameFrame> frames;
  std::vector<FlameNode> nodes;
  // Differences hold negative values; a box cannot be drawn with less than no width.
  size_t negative_samples_left_out = 0;

  const FlameNode& root() const { return nodes.front(); }
  const FlameFrame& FrameOf(const FlameNode& node) const { return frames[node.frame]; }
};

// Appends the frames of sample `index`, root first.
using FramesOfSample = std::function<void(size_t index, std::vector<FlameFrame>& root_first)>;

// The tree of value column `column`. Samples whose value is 0 leave no trace.
FlameTree MakeFlameTree(const Profile& profile, size_t column, const FramesOfSample& frames);

// The frames as they are in the profile, nothing in front.
void AppendFlameFrames(const Profile& profile, const Sample& sample,
                       std::vector<FlameFrame>& root_first);

}  // namespace whyslow
