#include "exporters/shown_stack.h"

#include <absl/strings/str_format.h>

#include <optional>

#include "exporters/clean_text.h"
#include "profile/wait_facts.h"

namespace whyslow {
namespace {

std::string ProcessName(const Profile& profile, const Sample& sample) {
  const std::string_view name = profile.TextLabel(sample, "process");
  if (!name.empty()) {
    return CleanText(name);
  }
  const std::optional<int64_t> pid = profile.NumberLabel(sample, "pid");
  return pid ? absl::StrFormat("[process %d]", *pid) : std::string();
}

// The main thread goes by its process's name: programs rename it, or never give it one.
std::string ThreadName(const Profile& profile, const Sample& sample) {
  const std::optional<int64_t> pid = profile.NumberLabel(sample, "pid");
  const std::optional<int64_t> tid = profile.NumberLabel(sample, "tid");
  const std::string_view process = profile.TextLabel(sample, "process");
  if (pid && pid == tid && !process.empty()) {
    return CleanText(process);
  }
  const std::string_view name = profile.TextLabel(sample, "thread");
  if (!name.empty()) {
    return CleanText(name);
  }
  return tid ? absl::StrFormat("[thread %d]", *tid) : std::string();
}

// The saved location is the kind alone, `[wait: socket]`, so that equal waits are one row; whom a
// sample waited for stands in its labels.
void TellWait(const Profile& profile, const Sample& sample, FlameFrame& frame) {
  const std::optional<WaitFacts> facts = WaitFactsOf(profile, sample);
  if (facts && frame.name == absl::StrFormat("[wait: %s]", facts->kind_name)) {
    frame.name = CleanText(absl::StrFormat("[wait: %s]", WaitWords(*facts)));
  }
  frame.idle = IsIdle(profile, sample);
}

std::string FrameName(const ShownFrame& frame, bool lines) {
  if (frame.kind == ModuleKind::kKernel) {
    return frame.name + "_[k]";
  }
  if (frame.kind != ModuleKind::kPython || frame.file.empty()) {
    return frame.name;
  }
  const std::string_view file = BaseNameOf(frame.file);
  return lines && frame.line > 0 ? absl::StrFormat("%s (%s:%d)", frame.name, file, frame.line)
                                 : absl::StrFormat("%s (%s)", frame.name, file);
}

void AppendLeading(const Profile& profile, const Sample& sample, const ExportOptions& options,
                   std::vector<FlameFrame>& out) {
  for (const RootFrame root : options.roots) {
    FlameFrame frame;
    frame.leading = true;
    frame.name =
        root == RootFrame::kProcess ? ProcessName(profile, sample) : ThreadName(profile, sample);
    // Other tools' profiles know no threads; their stacks begin with their own root.
    if (!frame.name.empty()) {
      out.push_back(std::move(frame));
    }
  }
}

}  // namespace

std::string_view BaseNameOf(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos || slash + 1 == path.size() ? path
                                                                     : path.substr(slash + 1);
}

void AppendShownStack(const Profile& profile, const Sample& sample, const ExportOptions& options,
                      std::vector<FlameFrame>& root_first) {
  AppendLeading(profile, sample, options, root_first);
  std::vector<LocationIndex> leaf_first;
  AppendLocations(profile, sample.stack, leaf_first);
  std::vector<ShownFrame> shown;
  for (size_t i = leaf_first.size(); i-- > 0;) {
    AppendShownFrames(profile, leaf_first[i], shown);
  }
  for (size_t i = 0; i < shown.size(); ++i) {
    root_first.push_back({.name = CleanText(FrameName(shown[i], options.lines)),
                          .kind = shown[i].kind,
                          .module_path = std::string(shown[i].module_path),
                          .file = std::string(shown[i].file),
                          .inlined = shown[i].inlined});
    if (i + 1 == shown.size() && shown[i].kind == ModuleKind::kWait) {
      TellWait(profile, sample, root_first.back());
    }
  }
}

}  // namespace whyslow
