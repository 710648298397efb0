#include "cli/options.h"

#include <absl/strings/str_format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <memory>
#include <utility>

#include "base/status.h"
#include "cli/flag_tables.h"

namespace whyslow {
namespace {

constexpr size_t kHelpColumn = 34;
constexpr size_t kHelpWidth = 98;

absl::Status UsageError(std::string_view what, std::string_view why, std::string_view remedy) {
  return WithRemedy(
      MakeStatus(absl::StatusCode::kInvalidArgument, absl::StrFormat("%s: %s", what, why)), remedy);
}

std::string SeeHelp(const CommandRow& row) {
  return absl::StrFormat("See `whyslow %s --help`.", row.name);
}

// Breaks at blanks; CLI11 indents the lines.
std::string Wrapped(const std::string& text, size_t width) {
  std::string wrapped;
  size_t line_start = 0;
  size_t last_blank = std::string::npos;
  for (const char c : text) {
    if (c == ' ') {
      last_blank = wrapped.size();
    }
    wrapped += c;
    if (wrapped.size() - line_start > width && last_blank != std::string::npos) {
      wrapped[last_blank] = '\n';
      line_start = last_blank + 1;
      last_blank = std::string::npos;
    }
  }
  return wrapped;
}

// CLI11's help with our own usage line: it knows nothing of `-- CMD`.
class HelpFormatter : public CLI::Formatter {
 public:
  explicit HelpFormatter(std::string usage) : usage_(std::move(usage)) {
    column_width(kHelpColumn);
  }
  std::string make_usage(const CLI::App* /*app*/, std::string /*name*/) const override {
    return "Usage: " + usage_ + "\n";
  }
  // Operands stand in the usage line already.
  std::string make_positionals(const CLI::App* /*app*/) const override { return ""; }
  std::string make_option_desc(const CLI::Option* option) const override {
    return Wrapped(option->get_description(), kHelpWidth - kHelpColumn);
  }
  std::string make_option_opts(const CLI::Option* option) const override {
    return option->get_type_name().empty() ? "" : " " + option->get_type_name();
  }

 private:
  std::string usage_;
};

// Hands the values of one option to its row. What the row refuses ends the parsing.
bool ApplyFlag(const Flag& flag, const CLI::results_t& values, Options& options) {
  const std::string names = flag.names;
  const std::string name = names.substr(names.rfind(',') + 1);
  if (values.size() > 1 && !flag.repeats) {
    throw CLI::ValidationError(name, "it is given more than once");
  }
  for (const std::string& value : values) {
    if (const absl::Status status = flag.set(value, options); !status.ok()) {
      throw CLI::ValidationError(name + " " + value, std::string(status.message()));
    }
  }
  return true;
}

void AddFlag(const Flag& flag, CLI::App& app, Options& options) {
  if (flag.value == nullptr) {
    app.add_flag_callback(
        flag.names, [&flag, &options] { flag.set("", options).IgnoreError(); }, flag.help);
    return;
  }
  app.add_option(
         flag.names,
         [&flag, &options](const CLI::results_t& values) {
           return ApplyFlag(flag, values, options);
         },
         flag.help)
      ->type_name(flag.value)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->expected(1, CLI::detail::expected_max_vector_size)
      ->allow_extra_args(false);
}

std::unique_ptr<CLI::App> MakeApp(const CommandRow& row, Options& options) {
  auto app = std::make_unique<CLI::App>(row.summary);
  app->formatter(
      std::make_shared<HelpFormatter>(absl::StrFormat("whyslow %s %s", row.name, row.usage)));
  app->set_help_flag("-h,--help", "This text");
  app->footer(row.examples);
  app->allow_extras();
  for (const std::span<const Flag> table : row.flags) {
    for (const Flag& flag : table) {
      AddFlag(flag, *app, options);
    }
  }
  if (row.operand != nullptr) {
    app->add_option("operands", options.files)->type_name(row.operand);
  }
  return app;
}

// `export FILE --output A B`: several values behind one --output, but only where FILE came first,
// so that a file to be read is never taken for one to be written.
void TakeSeveralOutputs(const std::vector<std::string>& arguments, CLI::App& app) {
  if (!arguments.empty() && !arguments.front().starts_with('-')) {
    app.get_option("--output")->allow_extra_args(true);
  }
}

absl::Status CheckLeftOver(const CommandRow& row, const CLI::App& app) {
  const std::vector<std::string> rest = app.remaining();
  if (rest.empty()) {
    return absl::OkStatus();
  }
  const std::string& first = rest.front();
  if (ComesLater(first)) {
    return UsageError(first, "not in this version", SeeHelp(row));
  }
  const bool is_option = first.starts_with('-') && first != "-";
  return UsageError(first, is_option ? "no such option" : "one argument too many", SeeHelp(row));
}

absl::Status CheckWhole(const CommandRow& row, const Options& options) {
  if (options.files.size() < row.fewest_operands) {
    return UsageError(row.name, "a file is missing",
                      absl::StrFormat("Usage: whyslow %s %s", row.name, row.usage));
  }
  if (options.files.size() > row.most_operands) {
    return UsageError(options.files[row.most_operands], "one argument too many", SeeHelp(row));
  }
  switch (row.command) {
    case Command::kAttach:
      if (options.capture.pids.empty()) {
        return UsageError("attach", "--pid is missing", SeeHelp(row));
      }
      break;
    case Command::kDump:
      if (options.capture.pids.empty()) {
        return UsageError("dump", "--pid is missing", SeeHelp(row));
      }
      break;
    case Command::kRun:
      if (options.child_command.empty()) {
        return UsageError("run", "there is no command to run",
                          "Usage: whyslow run [options] -- CMD ARGS...");
      }
      break;
    case Command::kExport:
      if (options.output.paths.empty()) {
        return UsageError("export", "--output is missing", SeeHelp(row));
      }
      break;
    case Command::kReport:
      if (options.by == GroupBy::kWait && !options.value_type.empty()) {
        return UsageError("--value", "--by wait always shows waiting time", SeeHelp(row));
      }
      break;
    default:
      break;
  }
  return absl::OkStatus();
}

// In a form that a shell would read back.
std::string CommandLine(const std::string& command, const std::vector<std::string>& arguments) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./,:@%";
  std::string line = "whyslow " + command;
  for (const std::string& argument : arguments) {
    if (!argument.empty() && argument.find_first_not_of(kPlain) == std::string::npos) {
      line += " " + argument;
      continue;
    }
    line += " '";
    for (const char c : argument) {
      line += c == '\'' ? std::string("'\\''") : std::string(1, c);
    }
    line += "'";
  }
  return line;
}

ParsedOptions ParseCommand(const CommandRow& row, std::vector<std::string> arguments) {
  Options options;
  options.command = row.command;
  options.command_line = CommandLine(row.name, arguments);
  if (row.command == Command::kRun) {
    const auto mark = std::find(arguments.begin(), arguments.end(), "--");
    if (mark != arguments.end()) {
      options.child_command.assign(mark + 1, arguments.end());
      arguments.erase(mark, arguments.end());
    }
  }
  const std::unique_ptr<CLI::App> app = MakeApp(row, options);
  if (row.command == Command::kExport) {
    TakeSeveralOutputs(arguments, *app);
  }
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
  try {
    app->parse(std::move(arguments));
  } catch (const CLI::CallForHelp&) {
    return HelpText{app->help()};
  } catch (const CLI::ValidationError& error) {
    return WithRemedy(MakeStatus(absl::StatusCode::kInvalidArgument, error.what()), SeeHelp(row));
  } catch (const CLI::Error& error) {
    return UsageError(row.name, error.what(), SeeHelp(row));
  }
  if (absl::Status status = CheckLeftOver(row, *app); !status.ok()) {
    return status;
  }
  if (absl::Status status = CheckWhole(row, options); !status.ok()) {
    return status;
  }
  return options;
}

std::string MainHelp() {
  std::string text =
      "whyslow finds out where a running server's time goes, from outside.\n\n"
      "Usage: whyslow COMMAND [options]\n\nCommands:\n";
  for (const CommandRow& row : Commands()) {
    text += absl::StrFormat("  %-8s %s\n", row.name, row.summary);
  }
  return text +
         "\nExamples:\n"
         "  whyslow attach --pid 4711 --duration 30s --output cpu.svg\n"
         "  whyslow run -- python3 job.py\n"
         "  whyslow report whyslow-4711-20260101T120000Z.pb.gz\n"
         "  whyslow doctor\n\n"
         "`whyslow COMMAND --help` tells the options. Exit codes: 0 done, 1 failed, 2 wrong "
         "usage,\n"
         "3 not permitted, 4 no such target, 130 given up by a second Ctrl-C.\n";
}

}  // namespace

ParsedOptions ParseOptions(const std::vector<std::string>& arguments) {
  if (arguments.empty()) {
    return UsageError("command line", "no command is given", "See `whyslow --help`.");
  }
  const std::string& first = arguments.front();
  if (first == "--help" || first == "-h" || first == "help") {
    return HelpText{MainHelp()};
  }
  if (first == "--version" || first == "-V") {
    return HelpText{"whyslow " WHYSLOW_VERSION "\n"};
  }
  for (const CommandRow& row : Commands()) {
    if (first == row.name) {
      return ParseCommand(row, {arguments.begin() + 1, arguments.end()});
    }
  }
  const bool is_option = first.starts_with('-');
  return UsageError(first,
                    ComesLater(first) ? "not in this version"
                    : is_option       ? "a command comes before its options"
                                      : "no such command",
                    "See `whyslow --help`.");
}

}  // namespace whyslow
