#include <absl/strings/str_format.h>

#include <algorithm>

#include "cli/capture_session.h"
#include "cli/commands.h"
#include "cli/diagnosis.h"
#include "cli/text.h"

namespace whyslow {
namespace {

std::string Render(const std::vector<Diagnosis>& lines, bool color) {
  size_t widest = 0;
  for (const Diagnosis& line : lines) {
    widest = std::max(widest, line.subject.size());
  }
  std::string text;
  for (const Diagnosis& line : lines) {
    const std::string mark = line.is_fine ? "ok     " : "MISSING";
    text += color ? absl::StrFormat("\x1b[%dm%s\x1b[0m", line.is_fine ? 32 : 31, mark) : mark;
    text += absl::StrFormat("  %-*s  %s", static_cast<int>(widest), line.subject,
                            Printable(line.finding));
    text += line.remedy.empty() ? "\n" : absl::StrFormat(". Remedy: %s\n", Printable(line.remedy));
  }
  return text;
}

}  // namespace

ExitCode RunDoctor(const Options& options, const Console& console) {
  const MachineFacts facts = ReadMachineFacts();
  std::string text = Render(Diagnose(facts), console.colors_out());
  if (const std::string command = GrantAllCommand(facts); !command.empty()) {
    text += absl::StrFormat("All missing capabilities at once: %s\n", Printable(command));
  }
  ExitCode code = ExitCode::kDone;
  for (const Pid pid : options.capture.pids) {
    const absl::Status status = CheckSessionTarget(pid);
    if (status.ok()) {
      text += absl::StrFormat("process %d: can be profiled\n", Number(pid));
    } else if (code == ExitCode::kDone) {
      code = ExitCodeFor(status, About::kTarget);
    }
  }
  if (const absl::Status status = console.WriteOut(text); !status.ok()) {
    return console.Fail(status, About::kFile);
  }
  for (const Pid pid : options.capture.pids) {
    if (const absl::Status status = CheckSessionTarget(pid); !status.ok()) {
      console.Error(std::string(status.message()));
    }
  }
  return code;
}

}  // namespace whyslow
