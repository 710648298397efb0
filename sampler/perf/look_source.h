// The EventSource of last resort, where the kernel gives no events at all: at its end it looks at
// threads that sleep, once, from outside.
#pragma once

#include <absl/status/statusor.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "sampler/event.h"
#include "sampler/perf/attach_scan.h"
#include "sampler/target/descriptors.h"

namespace whyslow {

// Tells processes, threads and mappings at the beginning, and for each thread that sleeps at the
// end its stack and what it waits for. Nothing of threads that run, and nothing of time: each wait
// has length zero.
class LookSource final : public EventSource {
 public:
  // kPermissionDenied: not even that. kNotFound: they have ended.
  static absl::StatusOr<std::unique_ptr<LookSource>> Open(const std::vector<Pid>& targets);

  bool Read(std::vector<Event>& out) override;
  void Stop() override;
  Instant ended_at() const override { return ended_at_; }
  Instant started_at() const { return started_at_; }

 private:
  explicit LookSource(const std::vector<Pid>& targets) : scan_(targets, false) {}

  void LookAtAll(std::vector<Event>& out);
  void LookAtThread(Pid pid, Tid tid, std::vector<Event>& out);

  AttachScan scan_;
  Descriptors descriptors_;
  Instant started_at_;
  Instant ended_at_;
  uint64_t stacks_ = 0;
  bool has_begun_ = false;
  bool has_ended_ = false;
  std::mutex mutex_;
  std::condition_variable stopped_;
  bool stop_ = false;
};

}  // namespace whyslow
