// The door: parses the command line and turns outcomes into exit codes.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <variant>
#include <vector>

#include "cli/commands.h"
#include "cli/console.h"
#include "cli/options.h"

namespace whyslow {
namespace {

// A closed standard descriptor would be given to the next file we open, and our messages would land
// in a profile. Opened for reading, so that writing to a closed stdout still fails.
void KeepStandardDescriptors() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (fcntl(fd, F_GETFD) < 0) {
      [[maybe_unused]] const int opened = open("/dev/null", O_RDONLY);
    }
  }
}

int RunCommand(const Options& options, const Console& console) {
  switch (options.command) {
    case Command::kAttach:
      return static_cast<int>(RunAttach(options, console));
    case Command::kRun:
      return RunRun(options, console);
    case Command::kDump:
      return static_cast<int>(RunDump(options, console));
    case Command::kReplay:
      return static_cast<int>(RunReplay(options, console));
    case Command::kReport:
      return static_cast<int>(RunReport(options, console));
    case Command::kExport:
      return static_cast<int>(RunExport(options, console));
    case Command::kDiff:
      return static_cast<int>(RunDiff(options, console));
    case Command::kDoctor:
      return static_cast<int>(RunDoctor(options, console));
  }
  return static_cast<int>(ExitCode::kFailed);
}

// A reader that stops reading (`whyslow report x | head`) ends those commands quietly; a capture
// must survive it, for it may have other outputs.
void IgnoreClosedPipes(Command command) {
  if (command == Command::kAttach || command == Command::kRun || command == Command::kReplay) {
    signal(SIGPIPE, SIG_IGN);
  }
}

int Main(const std::vector<std::string>& arguments) {
  KeepStandardDescriptors();
  const ParsedOptions parsed = ParseOptions(arguments);
  if (const auto* problem = std::get_if<absl::Status>(&parsed)) {
    return static_cast<int>(Console(ConsoleOptions()).Fail(*problem, About::kUsage));
  }
  if (const auto* help = std::get_if<HelpText>(&parsed)) {
    const Console console{ConsoleOptions()};
    const absl::Status status = console.WriteOut(help->text);
    return static_cast<int>(status.ok() ? ExitCode::kDone : console.Fail(status, About::kFile));
  }
  const auto& options = std::get<Options>(parsed);
  IgnoreClosedPipes(options.command);
  return RunCommand(options, Console(options.console));
}

}  // namespace
}  // namespace whyslow

int main(int argc, char** argv) {
  return whyslow::Main(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
}
