#include <absl/strings/str_format.h>

#include <chrono>
#include <thread>
#include <utility>

#include "base/status.h"
#include "cli/commands.h"
#include "cli/dump.h"
#include "cli/dump_text.h"
#include "cli/process_look.h"
#include "cli/recording.h"
#include "cli/targets.h"
#include "profile/wait_reasons.h"

namespace whyslow {
namespace {

// Long enough for a thread that is on a CPU most of the time to be sampled many times over.
constexpr Nanoseconds kLooksFor = std::chrono::milliseconds(100);
constexpr Nanoseconds kBetweenLooks = std::chrono::milliseconds(5);
constexpr uint32_t kFrequency = 499;

SessionOptions SessionFor(const Options& options) {
  SessionOptions session = options.capture;
  session.latest_only = true;
  session.sampler.follow_children = false;
  session.sampler.mode = CaptureMode::kWall;
  session.sampler.frequency_hz = kFrequency;
  return session;
}

absl::Status Gone(Pid pid) {
  return MakeStatus(absl::StatusCode::kNotFound,
                    absl::StrFormat("process %d: it ended while it was looked at", Number(pid)));
}

// Everything that is seen within the time, and the state at its end.
struct Seen {
  CaptureResult capture;
  std::vector<SeenProcess> processes;
};

absl::StatusOr<Seen> Look(const Options& options, const Console& console) {
  ASSIGN_OR_RETURN(const std::unique_ptr<CaptureSession> session,
                   StartSession(SessionFor(options)));
  const Instant end = MonotonicClock::now() + kLooksFor;
  const std::unique_ptr<ProcessLook> look =
      OpenProcessLook(options.capture.pids, {.python = options.capture.sampler.python,
                                             .locals = options.shows_locals,
                                             .threads = options.capture.threads});
  while (MonotonicClock::now() < end && !session->Status().source_ended) {
    look->Watch();
    std::this_thread::sleep_for(kBetweenLooks);
  }
  Seen seen;
  seen.processes = look->Look();
  ASSIGN_OR_RETURN(seen.capture, session->Stop());
  for (const std::string& note : session->notes()) {
    console.Note(note);
  }
  for (const std::string& note : look->notes()) {
    console.Detail(note);
  }
  return seen;
}

// kNotFound: all have ended.
absl::Status TellGone(const std::vector<SeenProcess>& processes, const Console& console) {
  size_t gone = 0;
  for (const SeenProcess& process : processes) {
    if (process.has_ended && ++gone < processes.size()) {
      console.Note(std::string(Gone(process.pid).message()));
    }
  }
  return gone == processes.size() ? Gone(processes.back().pid) : absl::OkStatus();
}

}  // namespace

ExitCode RunDump(const Options& options, const Console& console) {
  WritePlan plan;
  if (const absl::Status status = SetNameSources(options, plan); !status.ok()) {
    return console.Fail(status, About::kUsage);
  }
  if (const absl::Status status = CheckTargets(options.capture); !status.ok()) {
    return console.Fail(status, About::kTarget);
  }
  absl::StatusOr<Seen> seen = Look(options, console);
  if (!seen.ok()) {
    return console.Fail(seen.status(), About::kTarget);
  }
  if (const absl::Status status = TellGone(seen->processes, console); !status.ok()) {
    return console.Fail(status, About::kTarget);
  }
  NameAddresses(seen->capture, plan, console);
  const Profile profile = RefineWaits(std::move(seen->capture.profile));
  const Dump dump = MakeDump(profile, seen->processes,
                             {.kernel = options.shows_kernel, .locals = options.shows_locals});
  const absl::Status written = console.WriteOut(
      options.json
          ? DumpAsJson(dump)
          : DumpAsText(dump, {.width = console.out_width(), .color = console.colors_out()}));
  return written.ok() ? ExitCode::kDone : console.Fail(written, About::kFile);
}

}  // namespace whyslow
