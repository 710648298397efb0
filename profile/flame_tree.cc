#include "profile/flame_tree.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

#include "profile/saturated_sum.h"

namespace whyslow {
namespace {

// Grows the tree sample by sample; every (parent, frame) pair is one node.
class TreeGrower {
 public:
  TreeGrower() { tree_.nodes.emplace_back(); }

  void Add(const std::vector<FlameFrame>& root_first, int64_t value, int64_t waits) {
    uint32_t node = 0;
    for (const FlameFrame& frame : root_first) {
      node = ChildOf(node, RowOf(frame));
    }
    tree_.nodes[node].self = SaturatedSum(tree_.nodes[node].self, value);
    tree_.nodes[node].waits = SaturatedSum(tree_.nodes[node].waits, waits);
  }

  FlameTree Finish(size_t negative_samples) && {
    tree_.negative_samples_left_out = negative_samples;
    // Parents stand before their children, so one walk from the end adds up all totals.
    for (size_t i = tree_.nodes.size(); i-- > 0;) {
      FlameNode& node = tree_.nodes[i];
      node.total = SaturatedSum(node.total, node.self);
      if (node.parent != FlameNode::kNoParent) {
        FlameNode& parent = tree_.nodes[node.parent];
        parent.total = SaturatedSum(parent.total, node.total);
      }
      std::sort(node.children.begin(), node.children.end(),
                [this](uint32_t a, uint32_t b) { return StandsBefore(a, b); });
    }
    return std::move(tree_);
  }

 private:
  uint32_t RowOf(const FlameFrame& frame) {
    key_.clear();
    key_.append(frame.name).push_back('\0');
    key_.append(frame.module_path).push_back('\0');
    if (frame.kind == ModuleKind::kPython) {
      key_.append(frame.file);
    }
    key_.push_back(static_cast<char>(frame.kind));
    key_.push_back(static_cast<char>((frame.inlined ? 1 : 0) | (frame.leading ? 2 : 0) |
                                     (frame.idle ? 4 : 0)));
    const auto [row, is_new] =
        frame_rows_.try_emplace(key_, static_cast<uint32_t>(tree_.frames.size()));
    if (is_new) {
      tree_.frames.push_back(frame);
    }
    return row->second;
  }

  uint32_t ChildOf(uint32_t parent, uint32_t frame) {
    const auto next = static_cast<uint32_t>(tree_.nodes.size());
    const auto [row, is_new] = node_rows_.try_emplace(std::pair(parent, frame), next);
    if (is_new) {
      FlameNode node;
      node.parent = parent;
      node.frame = frame;
      tree_.nodes.push_back(std::move(node));
      tree_.nodes[parent].children.push_back(next);
    }
    return row->second;
  }

  bool StandsBefore(uint32_t a, uint32_t b) const {
    const auto rank = [this](uint32_t node) {
      const FlameFrame& frame = tree_.frames[tree_.nodes[node].frame];
      return std::tuple(std::string_view(frame.name), frame.kind,
                        std::string_view(frame.module_path), frame.inlined, frame.leading,
                        frame.idle, std::string_view(frame.file), node);
    };
    return rank(a) < rank(b);
  }

  FlameTree tree_;
  std::string key_;
  absl::flat_hash_map<std::string, uint32_t> frame_rows_;
  absl::flat_hash_map<std::pair<uint32_t, uint32_t>, uint32_t> node_rows_;
};

}  // namespace

FlameTree MakeFlameTree(const Profile& profile, size_t column, const FramesOfSample& frames) {
  TreeGrower grower;
  const std::optional<size_t> waits = profile.FindValueType("waits");
  size_t negative_samples = 0;
  std::vector<FlameFrame> root_first;
  for (size_t i = 0; i < profile.samples.size(); ++i) {
    const int64_t value = profile.ValuesOf(i)[column];
    negative_samples += value < 0 ? 1 : 0;
    if (value > 0) {
      root_first.clear();
      frames(i, root_first);
      grower.Add(root_first, value, waits ? std::max<int64_t>(profile.ValuesOf(i)[*waits], 0) : 0);
    }
  }
  return std::move(grower).Finish(negative_samples);
}

void AppendFlameFrames(const Profile& profile, const Sample& sample,
                       std::vector<FlameFrame>& root_first) {
  std::vector<LocationIndex> leaf_first;
  AppendLocations(profile, sample.stack, leaf_first);
  std::vector<ShownFrame> shown;
  for (size_t i = leaf_first.size(); i-- > 0;) {
    AppendShownFrames(profile, leaf_first[i], shown);
  }
  for (ShownFrame& frame : shown) {
    root_first.push_back({.name = std::move(frame.name),
                          .kind = frame.kind,
                          .module_path = std::string(frame.module_path),
                          .file = std::string(frame.file),
                          .inlined = frame.inlined});
  }
}

}  // namespace whyslow
