// Colours of a flame graph as CSS classes (viewer/flamegraph.css) that say what kind of code runs.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "profile/flame_tree.h"

namespace whyslow {

// "k" kernel, "p" Python, "j" JIT, "o" note, "t" thread or process; waits "w0" to "w8" by
// WaitFamily, "wq" where the thread was idle; native code "n0" to "n7" by module, with an "i"
// behind it where the compiler inlined. A module's hue comes from its name, so that it is the same
// in every picture, unless a heavier module of this one has it.
class FlameColors {
 public:
  explicit FlameColors(const FlameTree& tree);

  std::string ClassOf(const FlameFrame& frame) const;

  // (class, words) for what the tree holds: kinds first, then the heaviest modules.
  const std::vector<std::pair<std::string, std::string>>& legend() const { return legend_; }

 private:
  void GiveHues(const FlameTree& tree);
  void MakeLegend(const FlameTree& tree);

  absl::flat_hash_map<std::string, int> hues_;  // by module path
  std::vector<std::string> heaviest_modules_;
  std::vector<std::pair<std::string, std::string>> legend_;
};

// ("k", "kernel"), ("w0", "wait: network"), ("n", "native"): words for a class, in the order of the
// legend; native classes without what stands behind the "n".
const std::vector<std::pair<std::string_view, std::string_view>>& FlameKinds();

}  // namespace whyslow
