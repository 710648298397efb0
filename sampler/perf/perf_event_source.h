// The live EventSource: opens the kernel's events on processes and reads them until the end.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/status/statusor.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "base/unique_fd.h"
#include "sampler/event.h"
#include "sampler/perf/attach_scan.h"
#include "sampler/perf/ring_reader.h"
#include "sampler/perf/sampler_options.h"
#include "sampler/perf/target_set.h"
#include "sampler/perf/thread_times.h"

namespace whyslow {

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
    // Everything that is not as asked, a sentence each.
    std::vector<std::string> warnings;
  };

  // Errors: as CheckTarget, and kPermissionDenied, with the remedy.
  static absl::StatusOr<std::unique_ptr<PerfEventSource>> Open(const SamplerOptions& options,
                                                               const std::vector<Pid>& targets);
  ~PerfEventSource() override;

  // False, with nothing appended: after Stop() or once all target processes have ended, when
  // everything has been given.
  bool Read(std::vector<Event>& out) override;

  // From any thread, also from a signal handler. What has happened up to now is still given.
  void Stop() override;

  const Facts& facts() const { return facts_; }
  Instant attached_at() const { return attached_at_; }
  // Processes profiled now. For the reading thread.
  size_t process_count() const { return targets_.processes().size(); }

 private:
  PerfEventSource(PerfEventSet events, const SamplerOptions& options, UniqueFd stop_event);

  absl::Status Attach(const std::vector<Pid>& targets);
  // Per task: events on each thread found.
  absl::Status OpenThreads(AttachScan& scan);
  void DescribeFound(const AttachScan& scan);
  void AskRunTimes();
  void ReadOn();
  void Finish();
  void GiveOut(std::vector<Event>& out);
  void CloseAccount(const ThreadExited& exited, Instant when, std::vector<Event>& out);

  SamplerOptions options_;
  Facts facts_;
  UniqueFd stop_event_;
  std::atomic<bool> stop_{false};
  RingReader reader_;
  TargetSet targets_;
  ThreadTimes times_;
  Instant attached_at_;
  Instant next_round_;
  enum class Stage : uint8_t {
    kRunning,
    kDraining,  // sampling has stopped; what is in the rings is given
    kClosing,   // and the last accounts of run time
    kEnded,
  };
  Stage stage_ = Stage::kRunning;
  bool more_to_give_ = false;
  std::vector<Event> ordered_;  // a member to keep its memory
};

}  // namespace whyslow
