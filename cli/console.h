// What the user sees: problems and notes on stderr, one line each, and results on stdout.
#pragma once

#include <absl/status/status.h>

#include <string>
#include <string_view>

#include "cli/exit_codes.h"

namespace whyslow {

enum class ColorChoice { kAuto, kAlways, kNever };

struct ConsoleOptions {
  bool quiet = false;
  bool verbose = false;
  bool no_progress = false;
  ColorChoice color = ColorChoice::kAuto;
};

class Console {
 public:
  explicit Console(const ConsoleOptions& options);

  // "whyslow: error: TEXT" and nothing else; returns the code that the status stands for.
  ExitCode Fail(const absl::Status& status, About about) const;
  void Error(std::string_view text) const;
  // "whyslow: note: TEXT", unless quiet: what is missing, and other things worth knowing.
  void Note(std::string_view text) const;
  // "whyslow: TEXT", unless quiet: the summary at the end.
  void Say(std::string_view text) const;
  // The same, only with --verbose.
  void Detail(std::string_view text) const;

  // Writes all of it to standard output; a closed pipe or a full disk is a status.
  absl::Status WriteOut(std::string_view text) const;

  bool shows_progress() const { return shows_progress_; }
  bool colors_out() const { return colors_out_; }
  // Columns of standard output when it is a terminal; 0: not a terminal, nothing is cut.
  size_t out_width() const;

 private:
  ConsoleOptions options_;
  bool shows_progress_ = false;
  bool colors_out_ = false;
  bool colors_err_ = false;
};

// "WHAT: WHY. REMEDY" with the status's code; the remedy may be empty.
absl::Status WithRemedy(const absl::Status& status, std::string_view remedy);

// Columns of the terminal behind `fd`; 0 when there is none.
size_t TerminalWidth(int fd);

}  // namespace whyslow
