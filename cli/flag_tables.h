// Every option of every command, one row each; what a command takes is a list of tables.
#pragma once

#include <absl/status/status.h>

#include <span>
#include <string>

#include "cli/options.h"

namespace whyslow {

struct Flag {
  const char* names;  // "-F,--frequency"
  const char* value;  // "HZ"; nullptr: a switch, `set` gets ""
  const char* help;
  absl::Status (*set)(const std::string& value, Options& options);
  bool repeats = false;
};

struct CommandRow {
  Command command;
  const char* name;
  const char* usage;     // behind the name: "[options] FILE..."
  const char* summary;   // one line
  const char* examples;  // below the options
  std::vector<std::span<const Flag>> flags;
  const char* operand = nullptr;  // "FILE"; nullptr: takes none
  size_t fewest_operands = 0;
  size_t most_operands = 0;
};

const std::vector<CommandRow>& Commands();

// True for an option or command that the documentation describes but this version lacks.
bool ComesLater(const std::string& name);

}  // namespace whyslow
