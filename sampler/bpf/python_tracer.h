// The user's side of the program that walks frames of Python code (python.bpf.h).
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/status/statusor.h>

#include <deque>
#include <memory>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "sampler/bpf/bpf_handles.h"
#include "sampler/event.h"

struct bpf_object;

namespace whyslow {

// Used by the reading thread.
class PythonTracer {
 public:
  // Before the object is loaded. `python`: false leaves program and maps out.
  static void Prepare(bpf_object* object, bool python);
  // After it.
  static absl::StatusOr<std::unique_ptr<PythonTracer>> Open(bpf_object* object);

  void Walk(Pid pid, const python_walk_layout& layout);
  void Leave(Pid pid);

  // Is readable when something should be taken soon.
  int fd() const;
  // Stacks that are new since the last call, as events with raw frames.
  void Take(std::vector<Event>& out);
  // Which stack a sample of the clock was on; once. Those of samples whose records have been read
  // are known after the next Take.
  PythonStackId StackOf(const StackSample& sample, Instant when);

 private:
  struct Walked {
    Instant when;
    Cpu cpu{};
    PythonStackId stack = kNoPythonStack;
  };

  PythonTracer() = default;
  static int OnRecord(void* self, void* data, size_t size);
  void ForgetOld(Instant now);

  RingPtr ring_;
  int layouts_ = -1;
  absl::flat_hash_map<Tid, std::deque<Walked>> walked_;  // samples that were not asked for yet
  std::vector<Event>* taking_ = nullptr;
  int records_ = 0;  // of this Take
  Instant swept_at_;
};

}  // namespace whyslow
