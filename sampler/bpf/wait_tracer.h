// The user's side of the programs that time waits (waits.bpf.h).
#pragma once

#include <absl/status/statusor.h>

#include <memory>
#include <span>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "sampler/event.h"

struct bpf_object;

namespace whyslow {

// Used by the reading thread, but for Learn, which any thread may call.
class WaitTracer : public WaitStackLearner {
 public:
  struct Plan {
    uint32_t stack_bytes = 32 * 1024;
    bool follow_children = true;
    bool has_prev_state = true;  // of the tracepoint sched_switch: kernels from 5.18 on
  };
  // Before the object is loaded. `waits`: false leaves the programs and their maps out.
  static absl::Status Prepare(bpf_object* object, bool waits, const Plan& plan);
  // After it.
  static absl::StatusOr<std::unique_ptr<WaitTracer>> Open(bpf_object* object, const Plan& plan);

  // The programs are in place from now on, which takes a while; they do nothing before Start.
  virtual absl::Status Attach() = 0;
  // Every switch is timed from now on.
  virtual Instant Start() = 0;
  // The stacks of threads that sleep already, read from outside. Once, soon after Start.
  // False: they cannot be found, and threads that sleep are not known.
  virtual bool TakeSleepers(std::vector<Event>& out) = 0;
  // Whether the thread has slept on this stack since it was found asleep.
  virtual bool StillSleeps(Tid tid, WaitStackId stack) const = 0;
  // A thread that is alive: where no switch has shown it since Start, and it does not sleep, it
  // runs.
  virtual void AddRunning(Pid pid, Tid tid) = 0;
  // It has ended meanwhile.
  virtual void RemoveThread(Tid tid) = 0;
  // What has come since the last call.
  virtual void Take(std::vector<Event>& out) = 0;
  // Appends a ThreadRunTime for each thread: its time on CPUs since Start, up to now or, after
  // Stop, up to then. By the same clock readings as its waits, so that both add up to the time
  // covered.
  virtual void TakeRunTimes(std::vector<Event>& out) = 0;
  // And up to now.
  virtual Instant Stop() = 0;
  // After Stop: closes waits that are under way. Nothing follows.
  virtual void Finish(std::vector<Event>& out) = 0;

  virtual void AddTarget(Pid pid) = 0;
  // From now on there is a process whose Python frames are to be told with its waits.
  virtual void WalkPython() = 0;
  // Mappings, forks, execs and ends: where processes have code.
  virtual void Follow(const Event& event) = 0;
};

}  // namespace whyslow
