// From attach to stop: owns the threads between an event source and a finished profile, and nothing
// else.
#pragma once

#include <absl/status/status.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "profile/profile.h"
#include "sampler/audit.h"
#include "sampler/capture_mode.h"
#include "sampler/event.h"
#include "sampler/event_queue.h"
#include "sampler/pipeline.h"
#include "sampler/profile_writer.h"

namespace whyslow {

// Nanoseconds of UTC since the epoch, now.
int64_t UtcNanos();

// What stands at the head of the profile.
struct CaptureHeader {
  CaptureMode mode = CaptureMode::kCpu;
  int frequency_hz = 99;
  std::vector<std::string> comments;  // "whyslow 0.1.0", "command: ...", one fact a line
  Instant start = MonotonicClock::now();
  int64_t start_utc_nanos = UtcNanos();  // the same moment since the epoch
  // A recording is read as fast as it can be handled, and nothing is shed.
  bool is_replay = false;
};

// A snapshot for the progress line.
struct CaptureStatus {
  uint64_t samples = 0;
  uint64_t lost = 0;
  bool source_ended = false;  // the target is gone, or the recording is over
};

struct CaptureResult {
  Profile profile;
  std::vector<ModuleNames> names;  // for the symbolizer
  Audit audit;
  absl::Status recording_problem;  // of the file of raw events, where one was asked for
};

// Two threads: the reader drains the source into a bounded queue and does nothing else; the worker
// owns all state behind the queue. The caller's thread starts, looks at Status(), and stops.
class Capture {
 public:
  Capture(std::unique_ptr<EventSource> source, PipelineOptions options, CaptureHeader header);
  ~Capture();

  CaptureStatus Status() const;
  // Ends the reading (a recording is read to its end), waits for what is under way, and hands out
  // the profile. Once.
  CaptureResult Stop();

 private:
  void ReadEvents();
  void HandleEvents();
  void FillHeader();

  std::unique_ptr<EventSource> source_;
  CaptureHeader header_;
  Pipeline pipeline_;  // the worker's, until it is joined
  EventQueue queue_;
  std::atomic<uint64_t> samples_ = 0;
  std::atomic<uint64_t> lost_ = 0;
  std::atomic<bool> source_ended_ = false;
  std::thread reader_;
  std::thread worker_;
};

}  // namespace whyslow
