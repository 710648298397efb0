// The targets that run CPython.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <absl/status/status.h>

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "elf/module_file.h"
#include "sampler/python/python_process.h"
#include "sampler/python_reader.h"
#include "sampler/target/address_space.h"
#include "sampler/target/module_table.h"
#include "sampler/target/target_memory.h"

namespace whyslow {

class PythonProcesses final : public PythonReader {
 public:
  const python_walk_layout* Look(const Event& event) override;
  void Tell(const MappingAdded& mapping, Instant when, std::vector<Event>& out) override;
  void Read(PythonStack& stack, Instant when, std::vector<Event>& out) override;
  std::optional<PythonStack> Walk(Pid pid, Tid tid) override;

  // What stood in the way, a line each, since the last call.
  std::vector<std::string> TakeProblems() { return std::exchange(problems_, {}); }

 private:
  struct ThreadName {
    std::string name;
    Instant asked_at;
    int times_asked = 0;
  };
  struct Row {
    LiveMemory memory;
    Mapping mapping;  // for children, which have the same
    Pid parent = kNoPid;
    std::unique_ptr<PythonProcess> process;
    absl::flat_hash_map<Tid, ThreadName> threads;
    explicit Row(Pid pid) : memory(pid) {}
  };

  const python_walk_layout* Open(Pid pid, const Mapping& mapping);
  void AddProblem(const absl::Status& status);
  void Fork(Pid parent, Pid child);
  void End(Pid pid);
  void AskParent(const Row& row, PythonStack& stack);
  static void NameThread(Row& row, const PythonStack& stack, Instant when, std::vector<Event>& out);

  ModuleTable modules_;
  absl::flat_hash_set<const ModuleFile*> not_python_;
  absl::flat_hash_map<Pid, std::unique_ptr<Row>> rows_;
  std::deque<Pid> ended_;                  // of those: what they did last is still to be told
  absl::flat_hash_set<std::string> told_;  // problems, each once
  std::vector<std::string> problems_;
};

}  // namespace whyslow
