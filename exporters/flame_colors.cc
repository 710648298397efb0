#include "exporters/flame_colors.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "exporters/clean_text.h"
#include "exporters/shown_stack.h"
#include "profile/wait_kind.h"

namespace whyslow {
namespace {

constexpr int kHues = 8;
constexpr size_t kModulesInLegend = 6;

bool IsNative(const FlameFrame& frame) {
  return !frame.leading && (frame.kind == ModuleKind::kFile || frame.kind == ModuleKind::kVdso);
}

// FNV-1a: the same in every run and on every machine.
uint64_t HashOf(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) {
    hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  }
  return hash;
}

// Waits of what another program's words say are plain "w".
std::string_view WaitClass(const FlameFrame& frame) {
  static constexpr std::array<std::string_view, static_cast<size_t>(kLastWaitFamily) + 1> kClasses =
      {"w0", "w1", "w2", "w3", "w4", "w5", "w6", "w7", "w8"};
  if (frame.idle) {
    return "wq";
  }
  const std::optional<WaitKind> kind = WaitKindOfFrame(frame.name);
  return kind ? kClasses[static_cast<size_t>(FamilyOf(*kind))] : "w";
}

std::string_view KindClass(const FlameFrame& frame) {
  if (frame.leading) {
    return "t";
  }
  switch (frame.kind) {
    case ModuleKind::kKernel:
      return "k";
    case ModuleKind::kJit:
      return "j";
    case ModuleKind::kPython:
      return "p";
    case ModuleKind::kWait:
      return WaitClass(frame);
    case ModuleKind::kNote:
      return "o";
    case ModuleKind::kFile:
    case ModuleKind::kVdso:
      break;
  }
  return "n";
}

}  // namespace

const std::vector<std::pair<std::string_view, std::string_view>>& FlameKinds() {
  static const auto& kinds = *new std::vector<std::pair<std::string_view, std::string_view>>{
      {"t", "thread"},
      {"p", "Python"},
      {"j", "JIT"},
      {"k", "kernel"},
      {"w0", "wait: network"},
      {"w1", "wait: events"},
      {"w2", "wait: files and disk"},
      {"w3", "wait: locks"},
      {"w4", "wait: processes and pipes"},
      {"w5", "wait: sleep"},
      {"w6", "wait: scheduler"},
      {"w7", "wait: held"},
      {"w8", "wait: other"},
      {"w", "wait"},
      {"wq", "idle"},
      {"o", "note"},
      {"n", "native"}};
  return kinds;
}

FlameColors::FlameColors(const FlameTree& tree) {
  GiveHues(tree);
  MakeLegend(tree);
}

void FlameColors::GiveHues(const FlameTree& tree) {
  absl::flat_hash_map<std::string, int64_t> self;
  for (size_t i = 1; i < tree.nodes.size(); ++i) {
    const FlameFrame& frame = tree.FrameOf(tree.nodes[i]);
    if (IsNative(frame)) {
      int64_t& sum = self[frame.module_path];
      sum += tree.nodes[i].self / 2;  // half: the sum of all halves stays within a number
    }
  }
  std::vector<std::pair<int64_t, std::string>> by_weight;
  for (const auto& [path, sum] : self) {
    by_weight.emplace_back(-sum, path);
  }
  std::sort(by_weight.begin(), by_weight.end());
  std::array<bool, kHues> taken{};
  for (size_t i = 0; i < by_weight.size(); ++i) {
    const std::string& path = by_weight[i].second;
    int hue = static_cast<int>(HashOf(BaseNameOf(path)) % kHues);
    while (i < kHues && taken[static_cast<size_t>(hue)]) {
      hue = (hue + 1) % kHues;
    }
    taken[static_cast<size_t>(hue)] = true;
    hues_[path] = hue;
    heaviest_modules_.push_back(path);
  }
}

std::string FlameColors::ClassOf(const FlameFrame& frame) const {
  std::string name(KindClass(frame));
  if (IsNative(frame)) {
    const auto hue = hues_.find(frame.module_path);
    name += std::to_string(hue == hues_.end() ? 0 : hue->second);
    name += frame.inlined ? "i" : "";
  }
  return name;
}

void FlameColors::MakeLegend(const FlameTree& tree) {
  bool has_inlined = false;
  std::vector<std::string_view> present;
  for (const FlameFrame& frame : tree.frames) {
    const std::string_view kind = KindClass(frame);
    has_inlined |= IsNative(frame) && frame.inlined;
    if (std::find(present.begin(), present.end(), kind) == present.end()) {
      present.push_back(kind);
    }
  }
  for (const auto& [kind, words] : FlameKinds()) {
    if (kind != "n" && std::find(present.begin(), present.end(), kind) != present.end()) {
      legend_.emplace_back(kind, words);
    }
  }
  for (size_t i = 0; i < std::min(heaviest_modules_.size(), kModulesInLegend); ++i) {
    const std::string& path = heaviest_modules_[i];
    const std::string_view name = path.empty() ? "native" : BaseNameOf(path);
    legend_.emplace_back("n" + std::to_string(hues_[path]), CleanText(name));
  }
  if (heaviest_modules_.size() > kModulesInLegend) {
    legend_.emplace_back("n" + std::to_string(hues_[heaviest_modules_[kModulesInLegend]]),
                         "other modules: green to blue");
  }
  if (has_inlined) {
    legend_.emplace_back("n" + std::to_string(hues_[heaviest_modules_[0]]) + "i",
                         "inlined: lighter, slanted");
  }
}

}  // namespace whyslow
