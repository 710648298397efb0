// A look at a process that runs Python: who holds its global lock, and for each thread that sleeps
// its frames with their local variables.
#pragma once

#include <absl/status/statusor.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "sampler/python/code_reader.h"
#include "sampler/python/frame_locals.h"
#include "sampler/python/gil.h"
#include "sampler/python/inspection_layout.h"
#include "sampler/python/interpreter.h"
#include "sampler/python/objects.h"
#include "sampler/python/thread_walk.h"

namespace whyslow {

struct InspectedFrame {
  PythonFrame frame;
  std::vector<PythonLocal> locals;
};

// Used by one thread. Not movable: its parts refer to each other.
class PythonInspector {
 public:
  // Null: no CPython is in this mapping, or not yet at work. The error is a line for the user.
  static absl::StatusOr<std::unique_ptr<PythonInspector>> Open(Pid pid, const Mapping& mapping,
                                                               const TargetMemory& memory);
  PythonInspector(const PythonInspector&) = delete;
  PythonInspector& operator=(const PythonInspector&) = delete;

  // "3.11.2".
  std::string version() const { return PythonVersionText(interpreter_.layout.version); }

  // One for each of the process's global locks, as of now. nullopt: unknown.
  struct GilHolder {
    RuntimeAddress lock;
    std::optional<Tid> thread;  // none: it is free
  };
  std::optional<std::vector<GilHolder>> GilHolders() const;

  // Reads which threads there are, for the next two.
  void Refresh();
  // threading.Thread's name; nullopt: it has none, or its frames cannot be read now.
  std::optional<std::string> NameOfThread(Tid tid);
  // Leaf first. Empty: it runs no Python code, or what was read cannot have been true. That the
  // thread sleeps all the while is for the caller to see.
  std::vector<InspectedFrame> FramesOf(Tid tid, bool with_locals);

 private:
  PythonInspector(Pid pid, Interpreter interpreter, const TargetMemory& memory);
  void ReadInspectionLayout();
  std::optional<PythonWalk> Walk(Tid tid) const;

  Pid pid_;
  Interpreter interpreter_;
  PythonObjects objects_;
  PythonCodeReader codes_;
  std::optional<PythonInspectionLayout> layout_;
  std::vector<std::pair<Tid, PythonThread>> threads_;
};

}  // namespace whyslow
