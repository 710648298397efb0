// The walk of one event through the stages, on the worker thread, which owns everything here.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/time.h"
#include "sampler/audit.h"
#include "sampler/capture_mode.h"
#include "sampler/cpu_time.h"
#include "sampler/event.h"
#include "sampler/jit_processes.h"
#include "sampler/latest_stacks.h"
#include "sampler/profile_writer.h"
#include "sampler/python_stacks.h"
#include "sampler/target/process_table.h"
#include "sampler/unwind/stack_unwinder.h"
#include "sampler/wait_book.h"

namespace whyslow {

class CfiCache;

struct PipelineOptions {
  UnwindMode unwind = UnwindMode::kAuto;
  std::shared_ptr<CfiCache> table_cache;  // null: unwind tables are compiled anew
  std::string table_cache_problem;        // why null; empty: nobody wanted one
  std::vector<Tid> only_threads;          // empty: all
  // The processes run on this machine, so that files of theirs may be looked for by their numbers;
  // false for recordings.
  bool is_live = true;
  bool samples_all_modes = false;  // see Audit
  CaptureMode mode = CaptureMode::kCpu;
  bool python_internals = false;  // frames of CPython's own loop are shown too
  // The profile is of the end alone: one row a thread, that of its wait or its newest sample.
  bool latest_only = false;
  // Borrowed; null: nobody has to know stacks of waits again.
  WaitStackLearner* learner = nullptr;
};

// What is known of a thread's stack in user mode; borrowed.
struct UserStack {
  Pid pid = kNoPid;
  const std::optional<UserRegisters>& registers;
  std::span<const std::byte> copy;
  FramePointerChain chain;
  bool in_kernel = false;      // the thread was
  bool was_shortened = false;  // the copy, by us
};

class Pipeline {
 public:
  explicit Pipeline(PipelineOptions options);

  void Handle(Event& event);
  // Closes what is open at `when`. Nothing may be handled afterwards.
  void Finish(Instant when);

  const Audit& audit() const { return audit_; }
  // On the clock of now, also where events come from a recording. Zero: there was no sample.
  Instant first_stack_at() const { return first_stack_at_; }
  ProfileWriter& writer() { return writer_; }

 private:
  void On(Instant when, StackSample& sample);
  void On(Instant when, const SwitchIn& event);
  void On(Instant when, const SwitchOut& event);
  void On(Instant when, const WaitStack& event);
  void On(Instant when, const WaitsEnded& event);
  void On(Instant when, const PythonFound& event);
  void On(Instant when, const PythonStack& event);
  void On(Instant when, const PythonThreadNamed& event);
  void On(Instant when, const ThreadRunTime& event);
  void On(Instant when, const MappingAdded& event);
  void On(Instant when, const ThreadStarted& event);
  void On(Instant when, const ThreadExited& event);
  void On(Instant when, const ThreadNamed& event);
  void On(Instant when, const KernelCodeChanged& event);
  void On(Instant when, const EventsLost& event);

  // Each appends to frames_, leaf first.
  template <class HasStack>
  void AddFrames(Instant when, Process& process, const HasStack& event, bool in_kernel,
                 bool stack_was_shortened);
  void AddKernelFrames(std::span<const RuntimeAddress> callchain);
  void AddUserFrames(Instant when, Process& process, const UserStack& stack);
  void MarkPythonLoop(const Process& process, RuntimeAddress address, LocationIndex frame);
  void CheckWaitStack(const WaitStack& event, StackIndex stack);
  bool IsWanted(Tid tid) const;
  StringIndex NameOfThread(Pid pid, Tid tid);
  void MoveFinishedRows();

  PipelineOptions options_;
  ProcessTable processes_;
  JitProcesses jit_;
  StackUnwinder unwinder_;
  CpuTimeScaler cpu_time_;
  ProfileWriter writer_;
  PythonStacks python_;
  WaitBook waits_;
  LatestStacks latest_;  // where only they are wanted
  Audit audit_;
  Instant first_stack_at_;
  // Storage that one sample leaves to the next.
  NativeStack native_;
  std::vector<LocationIndex> frames_;
};

}  // namespace whyslow
