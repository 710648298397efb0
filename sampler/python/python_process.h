// A process that runs Python, for whoever takes samples of it.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/status/statusor.h>

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "sampler/python/code_reader.h"
#include "sampler/python/interpreter.h"
#include "sampler/python/objects.h"
#include "sampler/python/thread_names.h"
#include "sampler/python/thread_numbers.h"
#include "sampler/python/thread_walk.h"
#include "sampler/python_frames.h"

namespace whyslow {

// Used by one thread. Not movable: its parts refer to each other.
class PythonProcess {
 public:
  // `mapping`: any executable mapping of a file. Null: no CPython is in it. The error is one line
  // for the user: "Python 3.7.16 of process 12: ...: native frames only". Borrows `memory`.
  static absl::StatusOr<std::unique_ptr<PythonProcess>> Open(Pid pid, const Mapping& mapping,
                                                             const TargetMemory& memory);
  PythonProcess(const PythonProcess&) = delete;
  PythonProcess& operator=(const PythonProcess&) = delete;

  // Whether what is read is what it should be; kNotReady: it runs no Python code yet, ask again
  // later. After an error, a line like that of Open, nothing is to be read. Asks the target until
  // it has said yes or no.
  absl::StatusOr<InterpreterState> Check();

  uint32_t version() const { return interpreter_.layout.version; }
  const python_walk_layout& walk_layout() const { return interpreter_.layout.walk; }
  const PythonLayout& layout() const { return interpreter_.layout; }
  // The interpreter's loop; see Interpreter::is_loop_complete.
  std::span<const CodeRange> loop() const { return interpreter_.loop; }
  bool is_loop_complete() const { return interpreter_.is_loop_complete; }

  // Leaf first, as they came.
  std::vector<PythonFrame> Resolve(std::span<const python_raw_frame> frames);

  // The frames of a thread as they are now, leaf first; empty: it runs no Python code. nullopt: it
  // has no thread state, or what was read cannot have been true (rejections() says how often). Of
  // its thread states the one with a frame counts: the innermost cannot be told from outside, where
  // several have one.
  std::optional<std::vector<python_raw_frame>> WalkThread(Tid tid);
  // Likewise, with the frames' addresses.
  std::optional<PythonWalk> WalkChecked(Tid tid);

  // threading.Thread's name of a thread; nullopt: it has none, or its frames cannot be read now.
  // Walks its frames each time, so it is not for each sample.
  std::optional<std::string> NameOfThread(Tid tid);

  // Likewise, where the thread's outermost frame is known.
  std::optional<std::string> NameByOutermost(const python_raw_frame& outermost,
                                             RuntimeAddress frame) {
    return NameByOutermostFrame(objects_, codes_, outermost, frame);
  }

  struct Rejections {
    uint64_t walks = 0;
    uint64_t rejected = 0;
    PythonWalkFault last = PythonWalkFault::kNone;
  };
  const Rejections& rejections() const { return rejections_; }

 private:
  PythonProcess(Pid pid, Interpreter interpreter, const TargetMemory& memory);

  // A thread's state that has a frame, else any; nullopt: none.
  std::optional<PythonThread> FindThread(Tid tid);
  std::optional<PythonThread> FindRemembered(Tid tid) const;
  void ListThreads();

  Pid pid_;
  Interpreter interpreter_;
  PythonObjects objects_;
  PythonCodeReader codes_;
  ThreadNumbers numbers_;
  InterpreterState state_ = InterpreterState::kNotReady;
  absl::Status problem_;
  absl::flat_hash_map<Tid, std::vector<PythonThread>> threads_;  // as of listed_at_
  std::optional<Instant> listed_at_;
  Rejections rejections_;
};

}  // namespace whyslow
