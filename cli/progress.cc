#include "cli/progress.h"

#include <absl/strings/str_format.h>
#include <unistd.h>

#include "cli/table.h"
#include "cli/text.h"

namespace whyslow {
namespace {

// Back to the first column, and what stood there away.
constexpr std::string_view kEraseLine = "\r\x1b[K";

void WriteToStderr(std::string_view text) {
  // A terminal that went away is no reason to end a capture.
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
}

int64_t WholeSeconds(Nanoseconds time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time).count();
}

}  // namespace

std::string ProgressText(Nanoseconds elapsed, std::optional<Nanoseconds> duration,
                         const CaptureStatus& status) {
  std::string text = absl::StrFormat("%d s", WholeSeconds(elapsed));
  if (duration) {
    const Nanoseconds whole = std::chrono::ceil<std::chrono::seconds>(*duration);
    text += absl::StrFormat(" of %d s", WholeSeconds(whole));
  }
  text += absl::StrFormat(", %s samples, %s lost", WithThousands(status.samples),
                          WithThousands(status.lost));
  return duration ? text : text + "; Ctrl-C ends";
}

void ProgressLine::Show(const std::string& text) {
  if (!shows_) {
    return;
  }
  const size_t width = TerminalWidth(STDERR_FILENO);
  // One column less: some terminals go on to the next line after writing into the last one.
  const std::string line = CutMiddle("whyslow: " + text, width > 1 ? width - 1 : 1);
  WriteToStderr(absl::StrFormat("%s%s", kEraseLine, line));
  on_screen_ = true;
}

void ProgressLine::Clear() {
  if (on_screen_) {
    WriteToStderr(kEraseLine);
    on_screen_ = false;
  }
}

}  // namespace whyslow
