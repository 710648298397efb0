// The target's processes and threads as the events tell of them, in time order.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "base/ids.h"
#include "sampler/event.h"
#include "sampler/target/address_space.h"
#include "sampler/target/module_table.h"

namespace whyslow {

struct Process {
  Pid pid = kNoPid;
  AddressSpace space;
  absl::flat_hash_map<Tid, std::string> thread_names;
  std::vector<PythonFound::Range> python_loop;  // empty: it does not run CPython
  // execve put the new program in place but has not returned: the registers are the old program's.
  bool is_in_exec = false;

  // The main thread's name; empty when no event told it.
  const std::string& name() const;
  const std::string& NameOf(Tid tid) const;
};

// Used by one thread. References to a Process hold until the next Apply.
class ProcessTable {
 public:
  void Apply(const MappingAdded& event);
  void Apply(const PythonFound& event);
  void Apply(const ThreadStarted& event);
  void Apply(const ThreadExited& event);
  void Apply(const ThreadNamed& event);

  // Never fails: a process that no event announced (its start was lost) is made, without mappings.
  Process& Get(Pid pid);

  size_t size() const { return processes_.size(); }

 private:
  void Retire(Pid pid);

  ModuleTable modules_;
  absl::flat_hash_map<Pid, Process> processes_;
  // A dying thread still runs in the kernel after its exit was announced, so the dead are kept a
  // while.
  std::deque<Pid> retired_;
};

}  // namespace whyslow
