// The live EventSource: opens the kernel's events on processes and reads them until the end.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/status/statusor.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "base/unique_fd.h"
#include "sampler/bpf/bpf_sampler.h"
#include "sampler/event.h"
#include "sampler/perf/attach_scan.h"
#include "sampler/perf/ring_reader.h"
#include "sampler/perf/sampler_options.h"
#include "sampler/perf/stop_duty.h"
#include "sampler/perf/switch_waits.h"
#include "sampler/perf/target_set.h"
#include "sampler/perf/thread_times.h"

namespace whyslow {

class PythonReader;
class PythonTracer;
class WaitTracer;

//   ASSIGN_OR_RETURN(auto source, PerfEventSource::Open(options, {Pid{4711}}));
//   std::vector<Event> events;
//   while (source->Read(events)) { …; events.clear(); }
//
// The first events describe what was there at the attach, stamped attached_at(). ThreadRunTime
// comes for every thread: at the attach as a baseline, about once a second, and at its end; the
// last one may follow the thread's ThreadExited. A target that only waits to exec is fine.
class PerfEventSource final : public EventSource {
 public:
  // What was in fact done, for the user and for the profile.
  struct Facts {
    uint32_t frequency_hz = 0;
    bool per_cpu = false;
    bool kernel_mode = false;  // samples in kernel mode are taken
    bool bpf = false;
    bool stops = false;      // without BPF: threads that stop are sampled
    std::string why_no_bpf;  // the same results then, at a higher cost in busy targets
    // Everything that is not as asked, a sentence each.
    std::vector<std::string> warnings;
  };

  // Errors: as CheckTarget, and kPermissionDenied, with the remedy. `python` is borrowed; null:
  // nobody looks for CPython.
  static absl::StatusOr<std::unique_ptr<PerfEventSource>> Open(const SamplerOptions& options,
                                                               const std::vector<Pid>& targets,
                                                               PythonReader* python = nullptr);
  ~PerfEventSource() override;

  // False, with nothing appended: after Stop() or once all target processes have ended, when
  // everything has been given.
  bool Read(std::vector<Event>& out) override;

  // From any thread, also from a signal handler. What has happened up to now is still given.
  void Stop() override;

  const Facts& facts() const { return facts_; }
  // When what was there was looked at, which takes a while.
  Instant attached_at() const { return attached_at_; }
  // From when on everything counts.
  Instant started_at() const { return started_at_; }
  Instant ended_at() const override { return ended_at_; }
  // Null: nobody. As long-lived as this object.
  WaitStackLearner* wait_stack_learner() const;
  // Processes profiled now. For the reading thread.
  size_t process_count() const { return targets_.processes().size(); }

 private:
  PerfEventSource(PerfEventSet events, const SamplerOptions& options, UniqueFd stop_event,
                  std::unique_ptr<BpfSampler> bpf);

  absl::Status Attach(const std::vector<Pid>& targets);
  // Per task: events on each thread found.
  absl::Status OpenThreads(AttachScan& scan);
  void DescribeFound(const AttachScan& scan);
  void DescribeFacts();
  // Null: no BPF program measures waits.
  WaitTracer* tracer() const;
  // Null: no BPF program walks frames of CPython.
  PythonTracer* python_tracer() const;
  // Waits are measured, and not by BPF.
  bool counts_switches() const;
  // For waits without BPF: asks for samples of a thread's stops.
  void OpenStopsOf(Tid tid);
  void DescribeWaits(const AttachScan& scan);
  // Tells the BPF programs of processes that came and of those that are gone.
  absl::Status UpdateFilter();
  // Waits are timed and run times are counted from here on.
  absl::Status Start(const AttachScan& scan);
  void CountSwitches(const AttachScan& scan);
  void AddRunning(Pid pid, Tid tid);
  void AddBaselines(const AttachScan& scan);
  void TakeWaits();
  void TakePython();
  void LookForPython(const Event& event);
  // Adds the Python frames of a thread that sleeps.
  void WalkSleeper(WaitStack& sleeper);
  void TakeStops();
  // Has stops sampled in the next round, or not.
  void PlanStops(Instant round_began);
  void AddAll(std::vector<Event>& events);
  void AskRunTimes(ThreadTimes::Round round);
  void TakeEndedThreads();
  // The kernel lets go of a thread some time after its end, a zombie's even later.
  void AwaitEndedThreads();
  void ReadOn();
  void Finish();
  void GiveOut(std::vector<Event>& out);
  // In their place in time, without BPF.
  void GiveWaits(std::vector<Event>& out);
  void Note(const Event& event, std::vector<Event>& out);

  SamplerOptions options_;
  PythonReader* python_ = nullptr;
  Facts facts_;
  UniqueFd stop_event_;
  std::atomic<bool> stop_{false};
  std::unique_ptr<BpfSampler> bpf_;            // null: none
  std::unique_ptr<SwitchWaits> switch_waits_;  // null: BPF measures them, or nobody
  RingReader reader_;
  TargetSet targets_;
  ThreadTimes times_;
  Instant attached_at_;
  Instant started_at_;
  Instant ended_at_;
  StopDuty stop_duty_;
  bool stops_are_sampled_ = true;
  Instant round_began_;
  Instant next_round_;
  Instant given_until_;
  enum class Stage : uint8_t {
    kRunning,
    kDraining,  // sampling has stopped; what is in the rings is given
    kClosing,   // and the last accounts of run time
    kEnded,
  };
  Stage stage_ = Stage::kRunning;
  bool more_to_give_ = false;
  // With BPF: threads that have ended and whose last account is still to come.
  absl::flat_hash_map<Tid, Pid> unaccounted_;
  // Processes that have ended and when: forgotten a little later, when all has come.
  std::deque<std::pair<Instant, Pid>> gone_;
  std::vector<EndedThread> ended_;  // a member to keep its memory
  std::vector<Event> waits_;        // likewise
  std::vector<Event> python_stacks_;
  std::vector<Event> ordered_;  // a member to keep its memory
};

}  // namespace whyslow
