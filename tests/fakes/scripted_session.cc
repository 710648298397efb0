// A capture without a kernel: samples of a program that does not exist, so that everything around a
// capture (signals, progress, files, exit codes) can be tested anywhere. Words in the environment
// variable WHYSLOW_SCRIPT change it: "gone" (the target ends at once), "empty" (no samples),
// "slow-names" (naming takes a minute), "refused" (StartSession is not permitted), "waits"
// (WaitingProfile).
#include <chrono>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>

#include "base/status.h"
#include "cli/capture_session.h"
#include "cli/process_look.h"
#include "profile/profile_builder.h"
#include "tests/support/sample_profiles.h"

namespace whyslow {
namespace {

bool ScriptSays(std::string_view word) {
  const char* script = std::getenv("WHYSLOW_SCRIPT");
  return script != nullptr && std::string_view(script).find(word) != std::string_view::npos;
}

constexpr int64_t kSamples = 3;
constexpr int64_t kPeriod = 10'000'000;

Profile MakeProfile(const std::vector<std::string>& comments) {
  ProfileBuilder builder;
  builder.SetValueTypes({{"cpu_samples", "count"}, {"cpu", "nanoseconds"}});
  const auto location = [&](std::string_view name) {
    const ModuleIndex module = builder.AddModule({.path = builder.AddString("/bin/scripted")});
    return builder.AddNamedLocation(module, builder.AddFunction({.name = builder.AddString(name)}),
                                    0);
  };
  const std::vector<LocationIndex> stack = {location("work"), location("main")};
  const std::vector<Label> labels = {builder.TextLabel("thread", "scripted"),
                                     builder.NumberLabel("tid", 7)};
  if (!ScriptSays("empty")) {
    builder.AddSample(builder.AddStack(stack), builder.AddLabels(labels),
                      {{kSamples, kSamples * kPeriod}});
  }
  builder.header().duration_nanos = 1'000'000'000;
  builder.header().default_sample_type = builder.AddString("cpu");
  for (const std::string& comment : comments) {
    builder.header().comments.push_back(builder.AddString(comment));
  }
  return std::move(builder).Build();
}

class ScriptedSession final : public CaptureSession {
 public:
  explicit ScriptedSession(const SessionOptions& options) : comments_(options.comments) {}

  CaptureStatus Status() const override {
    return {.samples = kSamples, .lost = 0, .source_ended = ScriptSays("gone")};
  }
  const std::vector<std::string>& notes() const override { return notes_; }
  absl::StatusOr<CaptureResult> Stop() override {
    CaptureResult result;
    result.profile = ScriptSays("waits") ? WaitingProfile() : MakeProfile(comments_);
    result.audit.samples = ScriptSays("empty") ? 0 : kSamples;
    result.audit.truncated = {{"stack copy ended", 1}};
    result.audit.duration = std::chrono::seconds(1);
    return result;
  }

 private:
  std::vector<std::string> comments_;
  std::vector<std::string> notes_{"this capture is scripted"};
};

}  // namespace

absl::Status CheckSessionTarget(Pid /*pid*/) { return absl::OkStatus(); }

absl::StatusOr<std::unique_ptr<CaptureSession>> StartSession(const SessionOptions& options) {
  if (ScriptSays("refused")) {
    return MakeStatus(absl::StatusCode::kPermissionDenied, "sampling: the script forbids it");
  }
  return std::unique_ptr<CaptureSession>(new ScriptedSession(options));
}

absl::StatusOr<CaptureResult> ReplayRecording(const std::string& /*path*/,
                                              const SessionOptions& /*options*/) {
  return ScriptedSession(SessionOptions()).Stop();
}

namespace {

// One process that has ended, or with a thread that sleeps.
class ScriptedLook final : public ProcessLook {
 public:
  explicit ScriptedLook(const std::vector<Pid>& pids) : pids_(pids) {}
  void Watch() override {}
  std::vector<SeenProcess> Look() override {
    std::vector<SeenProcess> seen;
    for (const Pid pid : pids_) {
      seen.push_back({.pid = pid, .command = "scripted", .has_ended = ScriptSays("gone")});
      seen.back().threads.push_back({.tid = Tid{7}, .name = "scripted", .state = 'S'});
    }
    return seen;
  }
  const std::vector<std::string>& notes() const override { return notes_; }

 private:
  std::vector<Pid> pids_;
  std::vector<std::string> notes_;
};

}  // namespace

std::unique_ptr<ProcessLook> OpenProcessLook(const std::vector<Pid>& pids,
                                             const LookOptions& /*options*/) {
  return std::make_unique<ScriptedLook>(pids);
}

SymbolizeReport AddNames(CaptureResult& /*result*/, const SymbolizeOptions& /*options*/) {
  if (ScriptSays("slow-names")) {
    std::this_thread::sleep_for(std::chrono::minutes(1));
  }
  return {};
}

}  // namespace whyslow
