#include "profile/wait_facts.h"

namespace whyslow {
namespace {

constexpr std::string_view kFrameBegin = "[wait: ";

// "socket" of the leaf `[wait: socket]`; empty where the leaf is something else.
std::string_view KindOfLeaf(const Profile& profile, const Sample& sample) {
  if (!sample.stack.valid()) {
    return {};
  }
  std::string_view name = WaitFrameAt(profile, profile.StackAt(sample.stack).location);
  if (!name.starts_with(kFrameBegin)) {
    return {};
  }
  name.remove_prefix(kFrameBegin.size());
  return name.substr(0, name.find_first_of(" ]"));
}

}  // namespace

std::string_view WaitFrameAt(const Profile& profile, LocationIndex index) {
  const Location& location = profile.LocationAt(index);
  if (!location.module.valid() || profile.ModuleAt(location.module).kind != ModuleKind::kWait ||
      location.lines.empty() || !location.lines.front().function.valid()) {
    return {};
  }
  return profile.Text(profile.FunctionAt(location.lines.front().function).name);
}

std::optional<WaitFacts> WaitFactsOf(const Profile& profile, const Sample& sample) {
  std::string_view kind = KindOfLeaf(profile, sample);
  if (kind.empty()) {
    // Other programs may mean something else by such a label.
    kind = profile.TextLabel(sample, "wait");
    if (!WaitKindNamed(kind)) {
      return std::nullopt;
    }
  }
  return WaitFacts{.kind_name = kind,
                   .kind = WaitKindNamed(kind),
                   .peer = profile.TextLabel(sample, "peer"),
                   .protocol = profile.TextLabel(sample, "protocol"),
                   .file = profile.TextLabel(sample, "file"),
                   .syscall = profile.TextLabel(sample, "syscall"),
                   .tls = profile.TextLabel(sample, "tls"),
                   .idle = IsIdle(profile, sample)};
}

std::string WaitWords(const WaitFacts& facts) {
  std::string words(facts.kind_name);
  const auto add = [&words](std::string_view text) {
    if (!text.empty()) {
      words += ' ';
      words += text;
    }
  };
  // Once woken, a thread waits for a CPU and no longer for its peer.
  if (FamilyOf(facts) == WaitFamily::kScheduler) {
    return words;
  }
  add(facts.peer);
  add(facts.protocol);
  if (FamilyOf(facts) == WaitFamily::kDisk) {
    add(facts.file);
  }
  if (facts.kind == WaitKind::kSyscall) {
    add(facts.syscall);
  }
  if (facts.kind == WaitKind::kTls) {
    add(facts.tls);
  }
  return words;
}

WaitFamily FamilyOf(const WaitFacts& facts) {
  return facts.kind ? FamilyOf(*facts.kind) : WaitFamily::kOther;
}

bool IsIdle(const Profile& profile, const Sample& sample) {
  return profile.TextLabel(sample, "idle") == "yes";
}

}  // namespace whyslow
