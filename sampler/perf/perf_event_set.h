// The kernel's events for one capture and the rings they write to: every perf_event_open stands
// here.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/ids.h"
#include "base/unique_fd.h"
#include "sampler/perf/event_config.h"
#include "sampler/perf/record_parser.h"
#include "sampler/perf/ring_buffer.h"

namespace whyslow {

enum class RingRole : uint8_t {
  kSampling,
  kSideband,
  kSwitches,
  kStops,       // threads that stop, see StopAttributes
  kStopCopies,  // with their stacks
};

struct EventRing {
  RingRole role;
  size_t cpu_index;  // 0 .. cpus - 1
  RecordLayout layout;
  PerfRing ring;
};

// Sideband events run from the moment they are opened, the others from Start() on.
class PerfEventSet {
 public:
  struct Plan {
    SamplerOptions options;
    std::vector<Cpu> cpus;
    RingPlan rings;
    bool switches = false;  // context switches are wanted from these events
  };

  // One set of events per CPU, for all processes. kPermissionDenied for an ordinary user.
  static absl::StatusOr<PerfEventSet> OpenPerCpu(const Plan& plan);
  // No thread yet: see AddThread. Rings come with the first thread.
  static PerfEventSet PerTask(const Plan& plan);

  // Per task: the thread and all that it will start, on every CPU. kNotFound when it has ended.
  absl::Status AddThread(Tid tid);
  // However the other events are attached: samples of the thread's stops, and of those of all that
  // it will start. kPermissionDenied without kernel mode.
  absl::Status AddStopsOf(Tid tid);

  // `filter`: a BPF program that decides whether a sample is taken; -1: none.
  absl::Status SetSampleFilter(int filter);
  absl::Status Start();
  void Stop();
  // Samples of stops are taken from the beginning, unless told otherwise.
  void SampleStops(bool yes);

  // What the events of stops have taken of the limit on descriptors.
  size_t descriptors() const { return rings_.size() + redirected_.size(); }

  std::vector<EventRing>& rings() { return rings_; }
  size_t cpus() const { return plan_.cpus.size(); }
  bool has_kernel_mode() const { return rights_.kernel_mode; }
  bool is_per_task() const { return per_task_; }
  bool rings_were_shortened() const { return rings_were_shortened_; }

 private:
  PerfEventSet(const Plan& plan, bool per_task) : plan_(plan), per_task_(per_task) {}

  bool HasOwnSwitches() const;
  std::vector<RingRole> Roles() const;
  perf_event_attr AttributesOf(RingRole role) const;
  size_t RingBytesOf(RingRole role) const;
  // Asks for less until the kernel agrees, and remembers what it refused.
  absl::StatusOr<UniqueFd> OpenEvent(RingRole role, int32_t task, Cpu cpu);
  absl::Status AddEvent(RingRole role, int32_t task, size_t cpu_index);
  EventRing* FindRing(RingRole role, size_t cpu_index);

  Plan plan_;
  bool per_task_;
  EventRights rights_;
  bool rings_were_shortened_ = false;
  std::vector<EventRing> rings_;
  std::vector<UniqueFd> redirected_;  // events that write to another one's ring
  std::vector<int> sampling_fds_;     // of both kinds; Start and Stop
  std::vector<int> stop_fds_;         // likewise; SampleStops
};

}  // namespace whyslow
