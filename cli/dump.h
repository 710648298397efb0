// What `whyslow dump` shows: each thread of a process at one moment. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "cli/process_look.h"
#include "profile/profile.h"

namespace whyslow {

enum class ThreadState : uint8_t {
  kRunning,
  kRunnable,  // it could run, but has no CPU
  kWaiting,
  kStopped,
  kTraced,  // a debugger holds it
  kFrozen,
};
std::string_view NameOf(ThreadState state);

struct DumpFrame {
  std::string name;
  std::string file;  // "" where unknown
  int64_t line = 0;
  ModuleKind kind = ModuleKind::kFile;
  std::string module;  // path of the loaded file
  bool inlined = false;
  std::vector<SeenLocal> locals;
};

// Empty texts: unknown, or not of this kind of wait.
struct DumpWait {
  std::string kind;   // "socket"
  std::string words;  // "socket 127.0.0.1:5432 postgresql", as in reports
  std::string peer;
  std::string protocol;
  std::string file;
  std::string syscall;
  std::string tls;
  bool uninterruptible = false;
};

struct DumpThread {
  Tid tid = kNoTid;
  std::string name;
  std::string python_name;
  ThreadState state = ThreadState::kWaiting;
  std::optional<DumpWait> wait;
  std::optional<int64_t> for_nanos;  // for how long it has not run
  bool is_at_least = false;          // it may be longer than that
  bool holds_gil = false;
  bool has_stack = false;
  bool native_is_partial = false;   // native frames between and below those of Python are unknown
  bool locals_are_missing = false;  // they were asked for, but the thread went on meanwhile
  std::vector<DumpFrame> frames;    // leaf first
};

struct DumpProcess {
  Pid pid = kNoPid;
  std::string command;
  std::string python;
  std::optional<std::vector<SeenGil>> gils;
  std::vector<DumpThread> threads;
};

struct Dump {
  int64_t time_nanos = 0;  // UTC since the epoch
  std::vector<DumpProcess> processes;
};

struct DumpChoice {
  bool kernel = false;  // kernel frames too
  bool locals = false;
};

// `profile`: with names, of the latest stacks alone (PipelineOptions::latest_only). Processes that
// have ended are left out.
Dump MakeDump(const Profile& profile, const std::vector<SeenProcess>& seen,
              const DumpChoice& choice);

}  // namespace whyslow
