// What /proc says about processes that are there already. Parsing stands apart from reading.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "sampler/event.h"

namespace whyslow {

// /proc/PID/stat or /proc/PID/task/TID/stat.
struct ProcStat {
  int32_t id = -1;
  std::string name;  // may hold blanks and parentheses
  char state = '?';
  Pid parent = kNoPid;
  bool is_kernel_thread = false;

  bool has_ended() const { return state == 'Z' || state == 'X' || state == 'x'; }
};
std::optional<ProcStat> ParseProcStat(std::string_view text);

// The executable lines of /proc/PID/maps.
std::vector<MappingAdded> ParseExecutableMappings(Pid pid, std::string_view text);

// /proc/PID/task/TID/schedstat: its first number is the time on CPUs in nanoseconds.
std::optional<Nanoseconds> ParseRunTime(std::string_view text);

// A "Name: value" line of /proc/PID/status, value without the blanks before it.
std::optional<std::string_view> FindStatusField(std::string_view status, std::string_view name);

// nullopt, or empty, once the process is gone.
std::optional<ProcStat> ReadProcStat(Pid pid);
std::optional<ProcStat> ReadProcStat(Pid pid, Tid tid);
std::vector<Tid> ReadThreads(Pid pid);
std::vector<MappingAdded> ReadExecutableMappings(Pid pid);
std::optional<Nanoseconds> ReadRunTime(Pid pid, Tid tid);

// The given processes and all that descend from them, as far as the chain of parents is unbroken.
std::vector<Pid> ReadProcessTree(const std::vector<Pid>& roots);

}  // namespace whyslow
