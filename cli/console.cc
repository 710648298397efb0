#include "cli/console.h"

#include <absl/strings/str_format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "base/status.h"
#include "cli/text.h"

namespace whyslow {
namespace {

// A terminal that does not say its width.
constexpr size_t kUsualWidth = 80;

// 0, or the errno of the first write that failed.
int WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<size_t>(written));
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

bool UseColor(ColorChoice choice, int fd) {
  if (choice != ColorChoice::kAuto) {
    return choice == ColorChoice::kAlways;
  }
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  return isatty(fd) != 0 && (no_color == nullptr || *no_color == '\0') &&
         (term == nullptr || std::string_view(term) != "dumb");
}

// One write a line, so that lines of several threads and processes do not mix.
void PrintLine(std::string_view prefix, std::string_view text) {
  WriteAll(STDERR_FILENO, absl::StrFormat("%s%s\n", prefix, Printable(text)));
}

}  // namespace

size_t TerminalWidth(int fd) {
  if (isatty(fd) == 0) {
    return 0;
  }
  winsize size{};
  return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kUsualWidth;
}

Console::Console(const ConsoleOptions& options)
    : options_(options),
      shows_progress_(!options.quiet && !options.no_progress && isatty(STDERR_FILENO) != 0),
      colors_out_(UseColor(options.color, STDOUT_FILENO)),
      colors_err_(UseColor(options.color, STDERR_FILENO)) {}

void Console::Error(std::string_view text) const {
  PrintLine(colors_err_ ? "whyslow: \x1b[31merror\x1b[0m: " : "whyslow: error: ", text);
}

ExitCode Console::Fail(const absl::Status& status, About about) const {
  Error(std::string(status.message()));
  return ExitCodeFor(status, about);
}

void Console::Note(std::string_view text) const {
  if (!options_.quiet) {
    PrintLine("whyslow: note: ", text);
  }
}

void Console::Say(std::string_view text) const {
  if (!options_.quiet) {
    PrintLine("whyslow: ", text);
  }
}

void Console::Detail(std::string_view text) const {
  if (options_.verbose && !options_.quiet) {
    PrintLine("whyslow: ", text);
  }
}

absl::Status Console::WriteOut(std::string_view text) const {
  const int error = WriteAll(STDOUT_FILENO, text);
  return error == 0 ? absl::OkStatus() : ErrnoStatus(error, "standard output");
}

size_t Console::out_width() const { return TerminalWidth(STDOUT_FILENO); }

absl::Status WithRemedy(const absl::Status& status, std::string_view remedy) {
  if (status.ok() || remedy.empty()) {
    return status;
  }
  std::string text(status.message());
  if (!text.ends_with('.')) {
    text += '.';
  }
  return MakeStatus(status.code(), absl::StrFormat("%s %s", text, remedy));
}

}  // namespace whyslow
