// Turns what the pipeline finds (frames, finished rows) into rows of the profile.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "elf/module_file.h"
#include "profile/profile_builder.h"
#include "sampler/cpu_time.h"
#include "sampler/event.h"
#include "sampler/jit_files.h"
#include "sampler/jit_processes.h"
#include "sampler/target/address_space.h"
#include "sampler/target/process_table.h"
#include "sampler/wait/wait_reason.h"

namespace whyslow {

// Where the names of one module row come from, for the symbolizer.
struct ModuleNames {
  ModuleIndex module;
  ModuleFileRef file;    // files and the vdso
  std::string jit_map;   // generated code: the process's perf map
  std::string jit_dump;  // generated code: the process's jitdump
  // The kernel: code that was there before us and went while we looked, in order of time.
  std::vector<KernelCodeChanged> kernel_code;
};

// Waits of one thread that are alike.
struct WaitTimeRow {
  Pid pid = kNoPid;  // kNoPid: of several short-lived processes of this name
  Tid tid = kNoTid;  // kNoTid: of several threads
  StringIndex thread_name = kEmptyString;
  WaitReason reason;
  StackIndex callers;  // frames above the wait; not valid: none
  Tid waker = kNoTid;
  StringIndex waker_name = kEmptyString;
  int64_t count = 0;
  Nanoseconds time{};
  const DurationHistogram* times = nullptr;  // null: not known
};

// Used by one thread, the worker.
class ProfileWriter {
 public:
  // Borrows it.
  explicit ProfileWriter(JitProcesses& jit);

  StringIndex AddString(std::string_view text) { return builder_.AddString(text); }
  LocationIndex AddNote(std::string_view text) { return builder_.AddNote(text); }
  LocationIndex AddKernelFrame(RuntimeAddress address);
  // `mapping` is null where the address lies in no known mapping.
  LocationIndex AddUserFrame(Process& process, const Mapping* mapping, RuntimeAddress address);
  LocationIndex AddPythonFrame(const PythonFrame& frame);
  StackIndex AddStack(std::span<const LocationIndex> leaf_first) {
    return builder_.AddStack(leaf_first);
  }
  void NameProcess(Pid pid, StringIndex name) { process_names_[pid] = name; }
  // As the program calls it.
  void NamePythonThread(Tid tid, std::string_view name);
  // The number is a new thread's.
  void ForgetPythonThread(Tid tid);
  void AddCpuRow(const CpuTimeRow& row);
  void AddWaitRow(const WaitTimeRow& row);
  // Frames in code that comes are named at once: its place may be taken by other code soon.
  void AddKernelCode(const KernelCodeChanged& code);
  // Makes the module of a mapping known in order of arrival, so that the program itself comes
  // first.
  void AddModuleOf(const Mapping& mapping);

  const Profile& profile() const { return builder_.profile(); }
  Profile& header() { return builder_.header(); }
  Profile Build() &&;
  std::vector<ModuleNames> TakeModuleNames();

 private:
  std::vector<Label> ThreadLabels(Pid pid, Tid tid, StringIndex thread_name);
  LocationIndex WaitLocation(WaitKind kind);
  ModuleIndex FileModule(const Mapping& mapping, RuntimeAddress address);
  ModuleIndex JitModule(Process& process);

  JitProcesses& jit_;
  ProfileBuilder builder_;
  ModuleIndex kernel_;
  ModuleIndex waits_;
  ModuleIndex python_;
  struct KernelCode {
    uint64_t size = 0;
    FunctionIndex function;
  };
  std::map<uint64_t, KernelCode> new_kernel_code_;   // by start: has come and is there now
  std::vector<KernelCodeChanged> gone_kernel_code_;  // was there before us
  StackIndex not_sampled_;
  absl::flat_hash_map<Pid, StringIndex> process_names_;
  // A name is known some time after the thread's first rows: labels get it at the end. Of threads
  // with several, rows get the one of their time.
  struct PythonName {
    StringIndex name = kEmptyString;  // empty: not known now
    bool is_one_of_several = false;
  };
  absl::flat_hash_map<Tid, PythonName> python_names_;
  // One row a module and executable segment; keyed by the module's address and the segment's.
  absl::flat_hash_map<std::pair<const ModuleFile*, uint64_t>, ModuleIndex> file_modules_;
  std::map<ModuleIndex, ModuleFileRef> files_;
  absl::flat_hash_map<Pid, ModuleIndex> jit_modules_;
  // Kept when the process is gone.
  std::map<ModuleIndex, std::shared_ptr<JitFiles>> jit_files_;
};

}  // namespace whyslow
