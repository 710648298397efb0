// What the machine's facts mean for a profile: what will be missing, and the command that changes
// it. Pure.
#pragma once

#include <string>
#include <vector>

#include "cli/machine_facts.h"

namespace whyslow {

// One line of the doctor's answer.
struct Diagnosis {
  bool is_fine = true;
  std::string subject;  // "CAP_SYSLOG", "perf_event_paranoid"
  std::string finding;  // "missing: kernel frames have no names"
  std::string remedy;   // a command; empty when nothing is to be done
};

std::vector<Diagnosis> Diagnose(const MachineFacts& facts);

// One command that grants everything Diagnose() found missing by capabilities; empty when nothing
// is.
std::string GrantAllCommand(const MachineFacts& facts);

}  // namespace whyslow
