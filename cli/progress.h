// One line on the terminal that says how a capture is going, rewritten in place.
#pragma once

#include <optional>
#include <string>

#include "base/time.h"
#include "cli/console.h"
#include "sampler/capture.h"

namespace whyslow {

// "12 s of 30 s, 1,188 samples, 0 lost". Pure.
std::string ProgressText(Nanoseconds elapsed, std::optional<Nanoseconds> duration,
                         const CaptureStatus& status);

// Writes to stderr, and only where Console says that progress is shown. Leaves no trace when it
// goes.
class ProgressLine {
 public:
  explicit ProgressLine(const Console& console) : shows_(console.shows_progress()) {}
  ~ProgressLine() { Clear(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void Show(const std::string& text);
  void Clear();

 private:
  bool shows_;
  bool on_screen_ = false;
};

}  // namespace whyslow
