// The BPF programs, loaded and attached: they end when this object does.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <memory>
#include <vector>

#include "base/ids.h"
#include "base/time.h"

namespace whyslow {

class PythonTracer;
class WaitTracer;

// The account of a thread that is gone.
struct EndedThread {
  Pid pid = kNoPid;
  Tid tid = kNoTid;
  Instant when;
  Nanoseconds run_time{};
  bool is_final = true;  // else the thread is about to end: behind by up to a tick
};

// Process numbers are those of the machine's first PID namespace. Used by one thread.
class BpfSampler {
 public:
  struct Plan {
    bool follow_children = true;
    bool python = false;               // walk frames of CPython
    bool waits = false;                // time every switch of the targets' threads
    uint32_t stack_bytes = 32 * 1024;  // of a copy, of stacks that wait
  };

  static bool IsBuiltIn();
  // An error says why there is no BPF here: not built in, not permitted, too old a kernel.
  static absl::StatusOr<std::unique_ptr<BpfSampler>> Load(const Plan& plan);

  virtual ~BpfSampler() = default;

  // Children of a target become targets in the kernel at once, where children are followed.
  virtual absl::Status AddTarget(Pid pid) = 0;
  virtual void RemoveTarget(Pid pid) = 0;

  // Null: not wanted.
  virtual WaitTracer* waits() = 0;
  virtual PythonTracer* python() = 0;

  // The program for PERF_EVENT_IOC_SET_BPF: samples of other processes are dropped.
  virtual int sample_filter() const = 0;

  // Appends the threads of targets that are gone since the last call: each once when it ends, and
  // once more with its exact account when the kernel has done away with it.
  virtual void TakeEndedThreads(std::vector<EndedThread>& out) = 0;
};

}  // namespace whyslow
