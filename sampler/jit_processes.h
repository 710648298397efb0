// What each process tells of the code that it makes at run time: names for later, unwind
// information at once.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <deque>
#include <memory>

#include "base/ids.h"
#include "base/time.h"
#include "sampler/event.h"
#include "sampler/jit_dump_tail.h"
#include "sampler/jit_files.h"
#include "sampler/unwind/jit_unwind_table.h"

namespace whyslow {

// Used by one thread.
class JitProcesses {
 public:
  // How often a dump is looked at for what is new, while samples come.
  static constexpr Nanoseconds kInterval = std::chrono::milliseconds(200);

  // `may_open`: the processes run on this machine; those of a recording do not.
  explicit JitProcesses(bool may_open) : may_open_(may_open) {}

  // A jitdump shows itself by being mapped.
  void Apply(const MappingAdded& event);
  // A forked process has the code of its parent.
  void Apply(const ThreadStarted& event);
  void Apply(const ThreadNamed& event);
  void Apply(const ThreadExited& event);

  // As the dump was at most kInterval before `when`, by the clock of events. Null: the
  // process has made no code that we know of. Valid until the next call.
  const JitUnwindTable* UnwindTableOf(Pid pid, Instant when);
  // Of a process in which code without a file was met. Never null.
  std::shared_ptr<JitFiles> FilesOf(Pid pid);

 private:
  struct JitProcess {
    std::shared_ptr<JitFiles> files;
    JitUnwindTable table;
    JitDumpTail tail;
    Instant next_look;
  };

  JitProcess& Get(Pid pid);

  bool may_open_;
  absl::flat_hash_map<Pid, JitProcess> processes_;
  std::deque<Pid> retired_;
};

}  // namespace whyslow
