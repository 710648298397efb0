#include "cli/flag_tables.h"

#include <algorithm>
#include <array>

#include "cli/regex.h"
#include "cli/value_parsers.h"

namespace whyslow {
namespace {

constexpr int64_t kHighestFrequency = 10'000;
constexpr int64_t kHighestLimit = 1'000'000'000;

template <class T>
absl::Status Store(const absl::StatusOr<T>& value, T& into) {
  if (value.ok()) {
    into = *value;
  }
  return value.status();
}

template <class Id>
absl::Status AppendIds(const std::string& text, std::vector<Id>& into) {
  ASSIGN_OR_RETURN(const std::vector<int32_t> ids, ParseIds(text));
  for (const int32_t number : ids) {
    const Id id{number};
    if (std::find(into.begin(), into.end(), id) == into.end()) {
      into.push_back(id);
    }
  }
  return absl::OkStatus();
}

absl::Status StoreText(const std::string& text, std::string& into) {
  if (text.empty()) {
    return MakeStatus(absl::StatusCode::kInvalidArgument, "it is empty");
  }
  into = text;
  return absl::OkStatus();
}

absl::Status StoreRegex(const std::string& text, std::string& into) {
  RETURN_IF_ERROR(Regex::Compile(text).status());
  return StoreText(text, into);
}

absl::Status AddOutput(const std::string& path, Options& options) {
  std::string checked;
  RETURN_IF_ERROR(StoreText(path, checked));
  options.output.paths.push_back(checked);
  return absl::OkStatus();
}

absl::Status SetFormat(const std::string& name, Options& options) {
  RETURN_IF_ERROR(FindFormatByName(name).status());
  options.output.format = name;
  return absl::OkStatus();
}

absl::Status SetMode(const std::string& text, Options& options) {
  return Store(ParseChoice<CaptureMode>(text, {{"cpu", CaptureMode::kCpu},
                                               {"wall", CaptureMode::kWall},
                                               {"offcpu", CaptureMode::kOffCpu}}),
               options.capture.sampler.mode);
}

absl::Status SetFrequency(const std::string& text, Options& options) {
  ASSIGN_OR_RETURN(const int64_t hertz, ParseNumber(text, 1, kHighestFrequency));
  options.capture.sampler.frequency_hz = static_cast<uint32_t>(hertz);
  return absl::OkStatus();
}

absl::Status SetDuration(const std::string& text, Options& options) {
  ASSIGN_OR_RETURN(const Nanoseconds duration, ParseDuration(text));
  options.duration = duration;
  return absl::OkStatus();
}

absl::Status SetUnwind(const std::string& text, Options& options) {
  return Store(ParseChoice<UnwindMode>(text, {{"auto", UnwindMode::kAuto},
                                              {"dwarf", UnwindMode::kDwarf},
                                              {"fp", UnwindMode::kFramePointers}}),
               options.capture.unwind);
}

absl::Status SetPython(const std::string& text, Options& options) {
  return Store(ParseChoice<bool>(text, {{"auto", true}, {"yes", true}, {"no", false}}),
               options.capture.sampler.python);
}

absl::Status SetPythonInternals(const std::string& text, Options& options) {
  return Store(ParseYesNo(text), options.capture.python_internals);
}

absl::Status SetBpf(const std::string& text, Options& options) {
  return Store(ParseChoice<BpfUse>(
                   text, {{"auto", BpfUse::kAuto}, {"yes", BpfUse::kYes}, {"no", BpfUse::kNo}}),
               options.capture.sampler.bpf);
}

absl::Status SetDebuginfod(const std::string& text, Options& options) {
  return Store(ParseYesNo(text), options.use_debuginfod);
}

absl::Status SetCache(const std::string& text, Options& options) {
  options.capture.uses_cache = text != "no";
  options.capture.cache_directory.clear();
  return text == "no" ? absl::OkStatus() : StoreText(text, options.capture.cache_directory);
}

absl::Status SetColor(const std::string& text, Options& options) {
  return Store(ParseChoice<ColorChoice>(text, {{"auto", ColorChoice::kAuto},
                                               {"always", ColorChoice::kAlways},
                                               {"never", ColorChoice::kNever}}),
               options.console.color);
}

absl::Status SetEvent(const std::string& text, Options& options) {
  return Store(ParseChoice<SampleClock>(
                   text, {{"cpu-clock", SampleClock::kCpuClock}, {"cycles", SampleClock::kCycles}}),
               options.capture.sampler.clock);
}

absl::Status SetBy(const std::string& text, Options& options) {
  return Store(ParseChoice<GroupBy>(text, {{"function", GroupBy::kFunction},
                                           {"line", GroupBy::kLine},
                                           {"thread", GroupBy::kThread},
                                           {"process", GroupBy::kProcess},
                                           {"wait", GroupBy::kWait}}),
               options.by);
}

absl::Status SetIdle(const std::string& text, Options& options) {
  ASSIGN_OR_RETURN(options.idle, ParseYesNo(text));
  return absl::OkStatus();
}

absl::Status SetLimit(const std::string& text, Options& options) {
  ASSIGN_OR_RETURN(const int64_t limit, ParseNumber(text, 1, kHighestLimit));
  options.limit = static_cast<size_t>(limit);
  return absl::OkStatus();
}

using Text = const std::string&;

constexpr Flag kPidFlags[] = {
    {"-p,--pid", "PID[,PID...]", "Processes to look at; may repeat",
     [](Text text, Options& o) { return AppendIds(text, o.capture.pids); }, true},
};

constexpr Flag kThreadsFlags[] = {
    {"--threads", "TID[,TID...]", "Only these threads; may repeat (default: all)",
     [](Text text, Options& o) { return AppendIds(text, o.capture.threads); }, true},
};

constexpr const char* kCacheHelp =
    "Where names and the unwind tables of large modules are kept for the next time (default: "
    "~/.cache/whyslow, or in XDG_CACHE_HOME)";

constexpr Flag kCaptureFlags[] = {
    {"-d,--duration", "D",
     "How long: 10s, 1m30s, 500ms; a bare number is seconds (default: until "
     "Ctrl-C or the target's exit)",
     SetDuration},
    {"-F,--frequency", "HZ", "Samples per second of CPU time, 1 to 10000 (default: 99)",
     SetFrequency},
    {"--mode", "wall|cpu|offcpu",
     "What is measured: all time, only time on CPUs, or only waits (default: wall)", SetMode},
    {"--children", "yes|no", "Follow forked and exec'ed children (default: yes)",
     [](Text text, Options& o) {
       return Store(ParseYesNo(text), o.capture.sampler.follow_children);
     }},
    {"--kernel", "yes|no", "Kernel frames (default: yes, when permitted)",
     [](Text text, Options& o) {
       return Store(ParseYesNo(text), o.capture.sampler.kernel_frames);
     }},
    {"--python", "auto|yes|no", "Frames of CPython, 3.8 or newer (default: auto, where it runs)",
     SetPython},
    {"--python-internals", "yes|no",
     "Show the frames of CPython's own loop, too, which runs the Python frames (default: no)",
     SetPythonInternals},
    {"--unwind", "auto|dwarf|fp",
     "How native stacks are walked: unwind tables with frame pointers "
     "where there are none, tables only, or frame pointers only (default: auto)",
     SetUnwind},
    {"--event", "cpu-clock|cycles", "What clocks the samples (default: cpu-clock)", SetEvent},
    {"--bpf", "auto|yes|no",
     "Filter samples by process in the kernel with a BPF program; without "
     "it whyslow filters them itself (default: auto)",
     SetBpf},
    {"--debuginfod", "yes|no", "Ask the servers in DEBUGINFOD_URLS for debug files (default: no)",
     SetDebuginfod},
    {"--cache", "DIR|no", kCacheHelp, SetCache},
    {"--record", "FILE", "Also keep the raw events, for `whyslow replay`",
     [](Text text, Options& o) { return StoreText(text, o.capture.record_path); }},
};

constexpr Flag kDumpFlags[] = {
    {"--locals", nullptr, "Also the local variables of Python frames, of threads that sleep",
     [](Text, Options& o) {
       o.shows_locals = true;
       return absl::OkStatus();
     }},
    {"--json", nullptr, "The same as JSON (docs/json.md)",
     [](Text, Options& o) {
       o.json = true;
       return absl::OkStatus();
     }},
    {"--kernel", "yes|no", "Kernel frames (default: no)",
     [](Text text, Options& o) { return Store(ParseYesNo(text), o.shows_kernel); }},
    {"--python", "auto|yes|no", "Frames of CPython, 3.8 or newer (default: auto, where it runs)",
     SetPython},
    {"--python-internals", "yes|no",
     "Show the frames of CPython's own loop, too, which runs the Python frames (default: no)",
     SetPythonInternals},
    {"--unwind", "auto|dwarf|fp", "How native stacks are walked (default: auto)", SetUnwind},
    {"--bpf", "auto|yes|no", "Use BPF programs (default: auto, when permitted)", SetBpf},
    {"--debuginfod", "yes|no", "Ask the servers in DEBUGINFOD_URLS for debug files (default: no)",
     SetDebuginfod},
    {"--cache", "DIR|no", kCacheHelp, SetCache},
};

constexpr Flag kReplayFlags[] = {
    {"--python-internals", "yes|no", "Show the frames of CPython's own loop, too (default: no)",
     SetPythonInternals},
    {"--unwind", "auto|dwarf|fp", "How native stacks are walked (default: auto)", SetUnwind},
    {"--debuginfod", "yes|no", "Ask the servers in DEBUGINFOD_URLS for debug files (default: no)",
     SetDebuginfod},
    {"--cache", "DIR|no", kCacheHelp, SetCache},
};

constexpr Flag kRunFlags[] = {
    {"--propagate-status", nullptr, "Exit with CMD's status (128 + N when signal N ended it)",
     [](Text, Options& o) {
       o.propagate_status = true;
       return absl::OkStatus();
     }},
};

constexpr Flag kOutputFlags[] = {
    {"-o,--output", "FILE",
     "Where to write; may repeat. The format follows the name: .pb.gz, "
     ".folded, .svg, ...; - is standard output",
     AddOutput, true},
    {"--format", "NAME", "The format of outputs whose names do not tell", SetFormat},
    {"--root", "LIST",
     "Leading frames of folded and SVG stacks: process, thread, both with a "
     "comma, or none (default: thread)",
     [](Text text, Options& o) { return Store(ParseRoots(text), o.output.shape.roots); }},
    {"--lines", "yes|no", "Line numbers in folded and SVG frames (default: no)",
     [](Text text, Options& o) { return Store(ParseYesNo(text), o.output.shape.lines); }},
};

constexpr Flag kFilterFlags[] = {
    {"--focus", "REGEX", "Only stacks with a function or file that matches (as in grep -E)",
     [](Text text, Options& o) { return StoreRegex(text, o.filter.focus); }},
    {"--hide", "REGEX", "Leave matching functions and files out; their callers get their time",
     [](Text text, Options& o) { return StoreRegex(text, o.filter.hide); }},
    {"--thread", "REGEX", "Only threads whose name matches, or whose number it is",
     [](Text text, Options& o) { return StoreRegex(text, o.filter.thread); }},
};

constexpr Flag kReportFlags[] = {
    {"--by", "function|line|thread|process|wait",
     "What the rows are; wait: what was waited for, and where (default: function)", SetBy},
    {"--idle", "yes|no",
     "Also the waits of threads that had nothing to do; no: only say how much that was (default: "
     "no)",
     SetIdle},
};

constexpr Flag kExportFlags[] = {
    {"--idle", "yes|no", "Also the waits of threads that had nothing to do (default: yes)",
     SetIdle},
};

constexpr Flag kTableFlags[] = {
    {"--value", "NAME",
     "Which of the profile's values, such as cpu_samples or cpu (default: the "
     "one the profile names)",
     [](Text text, Options& o) { return StoreText(text, o.value_type); }},
    {"-n,--limit", "N", "How many rows (default: 30; with --json all)", SetLimit},
    {"--json", nullptr, "The same as JSON, with full names and exact numbers",
     [](Text, Options& o) {
       o.json = true;
       return absl::OkStatus();
     }},
};

constexpr Flag kConsoleFlags[] = {
    {"-q,--quiet", nullptr, "Only errors on stderr",
     [](Text, Options& o) {
       o.console.quiet = true;
       return absl::OkStatus();
     }},
    {"-v,--verbose", nullptr, "More on stderr: what is done, and how long it took",
     [](Text, Options& o) {
       o.console.verbose = true;
       return absl::OkStatus();
     }},
    {"--color", "auto|always|never", "Colours (default: auto, on a terminal)", SetColor},
};

constexpr Flag kProgressFlags[] = {
    {"--no-progress", nullptr, "No progress line (it appears on terminals only)",
     [](Text, Options& o) {
       o.console.no_progress = true;
       return absl::OkStatus();
     }},
};

constexpr const char* kAttachExamples =
    "Examples:\n"
    "  whyslow attach --pid 4711 --duration 30s\n"
    "  whyslow attach --pid 4711 -F 499 -d 10 -o cpu.svg -o cpu.pb.gz\n"
    "  whyslow attach --pid $(pgrep -d, gunicorn) -d 1m -o - --format folded | less\n"
    "\n"
    "Without --output the profile is written to whyslow-PID-TIME.pb.gz. Ctrl-C ends it early and\n"
    "writes it in full; a second Ctrl-C gives up.";

constexpr const char* kRunExamples =
    "Examples:\n"
    "  whyslow run -- python3 job.py --all\n"
    "  whyslow run -o job.svg --propagate-status -- make test\n"
    "\n"
    "Ends with CMD. When --duration is over before that, CMD goes on without being profiled; a\n"
    "Ctrl-C or SIGTERM that ends the profile early also goes to CMD.";

constexpr const char* kDumpExamples =
    "Examples:\n"
    "  whyslow dump --pid 4711\n"
    "  whyslow dump --pid 4711 --locals | less\n"
    "  whyslow dump --pid $(pgrep -d, gunicorn) --json\n"
    "\n"
    "Looks for a tenth of a second and stops nobody. A thread that ran meanwhile is shown where it "
    "was\nseen last.";

constexpr const char* kReplayExamples =
    "Examples:\n"
    "  whyslow attach --pid 4711 -d 10 --record raw.events\n"
    "  whyslow replay raw.events -o again.pb.gz";

constexpr const char* kReportExamples =
    "Examples:\n"
    "  whyslow report whyslow-4711-20260101T120000Z.pb.gz\n"
    "  whyslow report worker1.pb.gz worker2.pb.gz --by line --limit 10\n"
    "  whyslow report wall.pb.gz --by wait\n"
    "  whyslow report cpu.pb.gz --focus 'json|yaml' --json\n"
    "\n"
    "self: the function itself ran. total: it, or something that it called. Several files are\n"
    "added up.";

constexpr const char* kExportExamples =
    "Examples:\n"
    "  whyslow export cpu.pb.gz --output cpu.svg\n"
    "  whyslow export cpu.pb.gz --output cpu.folded cpu.svg --hide '^std::'\n"
    "  whyslow export cpu.pb.gz --output - --format folded | sort | head";

constexpr const char* kDiffExamples =
    "Examples:\n"
    "  whyslow diff before.pb.gz after.pb.gz\n"
    "  whyslow diff before.pb.gz after.pb.gz --limit 10 --hide '^runtime\\.'\n"
    "\n"
    "Numbers are per second profiled, so that profiles of different length compare. Any pprof\n"
    "files do, also other tools'.";

constexpr const char* kDoctorExamples =
    "Examples:\n"
    "  whyslow doctor\n"
    "  whyslow doctor --pid 4711";

// Of processes.
std::vector<CommandRow> MakeLiveCommands() {
  const std::span<const Flag> capture(kCaptureFlags), output(kOutputFlags), console(kConsoleFlags),
      progress(kProgressFlags);
  return {
      {Command::kAttach,
       "attach",
       "--pid PID[,PID...] [options]",
       "Profile running processes and their children",
       kAttachExamples,
       {kPidFlags, kThreadsFlags, capture, output, progress, console}},
      {Command::kRun,
       "run",
       "[options] -- CMD ARGS...",
       "Start CMD and profile it from its first instruction to its exit",
       kRunExamples,
       {capture, kRunFlags, output, progress, console}},
      {Command::kDump,
       "dump",
       "--pid PID[,PID...] [options]",
       "Every thread's stack now, and what it waits for; no profile",
       kDumpExamples,
       {kPidFlags, kThreadsFlags, kDumpFlags, console}},
      {Command::kDoctor,
       "doctor",
       "[--pid PID]",
       "What this machine and this user may do, and the remedy for what is missing",
       kDoctorExamples,
       {kPidFlags, console}},
  };
}

// Of files.
std::vector<CommandRow> MakeFileCommands() {
  const std::span<const Flag> output(kOutputFlags), filter(kFilterFlags), table(kTableFlags),
      console(kConsoleFlags);
  return {
      {Command::kReplay,
       "replay",
       "FILE [options]",
       "Make the profile again from raw events that --record kept",
       kReplayExamples,
       {kReplayFlags, output, console},
       "FILE",
       1,
       1},
      {Command::kReport,
       "report",
       "FILE... [options]",
       "Tables of saved profiles in the terminal",
       kReportExamples,
       {kReportFlags, table, filter, console},
       "FILE",
       1,
       SIZE_MAX},
      {Command::kExport,
       "export",
       "FILE --output OUT... [options]",
       "Convert a saved profile to other formats",
       kExportExamples,
       {output, kExportFlags, filter, console},
       "FILE",
       1,
       1},
      {Command::kDiff,
       "diff",
       "BEFORE AFTER [options]",
       "Compare two profiles function by function",
       kDiffExamples,
       {table, filter, console},
       "FILE",
       2,
       2},
  };
}

}  // namespace

const std::vector<CommandRow>& Commands() {
  static const auto& commands = *new std::vector<CommandRow>([] {
    std::vector<CommandRow> all = MakeLiveCommands();
    for (CommandRow& row : MakeFileCommands()) {
      all.push_back(std::move(row));
    }
    return all;
  }());
  return commands;
}

bool ComesLater(const std::string& name) {
  constexpr std::array kLater = {
      "top",       "serve",        "--requests",    "--ignore",   "--sql-text", "--cgroup",
      "--name",    "--debuginfod", "--leaf",        "--endpoint", "--from",     "--to",
      "--request", "--before",     "--per-request", "--after",    "--fail-on"};
  const std::string plain = name.substr(0, name.find('='));
  return std::find(kLater.begin(), kLater.end(), plain) != kLater.end();
}

}  // namespace whyslow
