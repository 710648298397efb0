// What a look at processes from outside shows of them, beside the stacks that a capture has:
// threads and their states, who holds CPython's global lock, values of local variables.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/time.h"

namespace whyslow {

struct SeenLocal {
  std::string name;
  std::string value;  // as repr() would show it

  bool operator==(const SeenLocal&) const = default;
};

struct SeenPythonFrame {
  std::string function;
  std::string file;
  int64_t line = 0;
  bool is_entry = false;  // the interpreter's loop was entered with it
  std::vector<SeenLocal> locals;
};

struct SeenThread {
  Tid tid = kNoTid;
  std::string name;  // the kernel's
  char state = '?';  // as in /proc: R, S, D, T, t, ...
  std::string python_name;
  std::optional<Nanoseconds> rest;  // for how long it has not run
  bool rest_may_be_longer = false;
  std::vector<SeenPythonFrame> python;  // leaf first; of one that slept while they were read
};

// One global lock of CPython.
struct SeenGil {
  std::optional<Tid> holder;  // none: it is free
  int looks = 0;              // so often was looked,
  int same = 0;               // and so often this was so
};

struct SeenProcess {
  Pid pid = kNoPid;
  std::string command;                       // its arguments, or its name
  std::string python;                        // "3.11.2"; empty: it runs no CPython that is known
  std::optional<std::vector<SeenGil>> gils;  // nullopt: unknown
  std::vector<SeenThread> threads;           // those that are wanted
  bool has_ended = false;
};

struct LookOptions {
  bool python = true;
  bool locals = false;
  std::vector<Tid> threads;  // whose frames are read; empty: all
};

// Stops nobody.
class ProcessLook {
 public:
  virtual ~ProcessLook() = default;
  // Looks who holds global locks, to be asked every now and then.
  virtual void Watch() = 0;
  virtual std::vector<SeenProcess> Look() = 0;
  // What cannot be seen and why, one line each.
  virtual const std::vector<std::string>& notes() const = 0;
};

std::unique_ptr<ProcessLook> OpenProcessLook(const std::vector<Pid>& pids,
                                             const LookOptions& options);

}  // namespace whyslow
