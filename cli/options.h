// The command line as values: argv in, Options or help or one usage error out. Runs nothing.
#pragma once

#include <absl/status/status.h>

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "cli/capture_session.h"
#include "cli/console.h"
#include "exporters/exporter.h"
#include "profile/function_table.h"

namespace whyslow {

enum class Command { kAttach, kRun, kDump, kReplay, kReport, kExport, kDiff, kDoctor };

// Focus, hide and thread are regular expressions that compile; empty: not given.
struct FilterChoice {
  std::string focus;
  std::string hide;
  std::string thread;
};

struct OutputChoice {
  std::vector<std::string> paths;  // "-": standard output; empty: the default name
  std::string format;              // for names that do not tell; empty: not given
  ExportOptions shape;
};

struct Options {
  Options() { capture.sampler.mode = CaptureMode::kWall; }

  Command command = Command::kReport;
  ConsoleOptions console;
  std::string command_line;  // as it was given, for the profile's comments

  // attach, run, dump, replay; doctor uses the pids
  SessionOptions capture;
  std::optional<Nanoseconds> duration;
  bool use_debuginfod = false;
  std::vector<std::string> child_command;  // run
  bool propagate_status = false;           // run

  bool shows_locals = false;  // dump
  bool shows_kernel = false;  // dump

  OutputChoice output;  // attach, run, replay, export

  // report, export, diff, replay
  std::vector<std::string> files;
  FilterChoice filter;
  GroupBy by = GroupBy::kFunction;
  std::optional<bool> idle;  // report: no unless said otherwise; export: yes
  std::string value_type;    // --value; empty: the profile's default
  std::optional<size_t> limit;
  bool json = false;
};

// What --help and --version print.
struct HelpText {
  std::string text;
};

// A status is a usage error: "WHAT: WHY. REMEDY".
using ParsedOptions = std::variant<Options, HelpText, absl::Status>;

// `arguments` without the program's name.
ParsedOptions ParseOptions(const std::vector<std::string>& arguments);

}  // namespace whyslow
