#include "sampler/capture.h"

#include <sys/resource.h>
#include <time.h>

#include <utility>

namespace whyslow {
namespace {

Nanoseconds OwnCpuTime() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto nanos = [](const timeval& value) {
    return std::chrono::seconds(value.tv_sec) + std::chrono::microseconds(value.tv_usec);
  };
  return nanos(usage.ru_utime) + nanos(usage.ru_stime);
}

EventQueue::Limits LimitsFor(const CaptureHeader& header) {
  EventQueue::Limits limits;
  limits.wait_instead = header.is_replay;
  return limits;
}

std::string_view DefaultSampleType(CaptureMode mode) {
  return mode == CaptureMode::kCpu ? "cpu" : mode == CaptureMode::kWall ? "wall" : "wait";
}

}  // namespace

int64_t UtcNanos() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

Capture::Capture(std::unique_ptr<EventSource> source, PipelineOptions options, CaptureHeader header)
    : source_(std::move(source)),
      header_(std::move(header)),
      pipeline_(std::move(options)),
      queue_(LimitsFor(header_)),
      reader_([this] { ReadEvents(); }),
      worker_([this] { HandleEvents(); }) {}

Capture::~Capture() {
  if (reader_.joinable()) {
    source_->Stop();
    reader_.join();
    worker_.join();
  }
}

void Capture::ReadEvents() {
  bool more = true;
  while (more) {
    std::vector<Event> batch;
    more = source_->Read(batch);
    queue_.Push(std::move(batch));
  }
  source_ended_ = true;
  queue_.Close();
}

void Capture::HandleEvents() {
  std::vector<Event> batch;
  while (queue_.Pop(batch)) {
    for (Event& event : batch) {
      pipeline_.Handle(event);
    }
    batch.clear();
    samples_.store(pipeline_.audit().samples, std::memory_order_relaxed);
    lost_.store(pipeline_.audit().lost(), std::memory_order_relaxed);
  }
}

CaptureStatus Capture::Status() const {
  return {.samples = samples_.load(std::memory_order_relaxed),
          .lost = lost_.load(std::memory_order_relaxed),
          .source_ended = source_ended_.load()};
}

CaptureResult Capture::Stop() {
  if (!header_.is_replay) {
    source_->Stop();
  }
  reader_.join();
  worker_.join();
  const Instant ended_at = source_->ended_at();
  pipeline_.Finish(ended_at);
  CaptureResult result;
  result.audit = pipeline_.audit();
  result.audit.duration = ended_at - header_.start;
  result.audit.own_cpu = OwnCpuTime();
  if (!header_.is_replay && result.audit.samples > 0) {
    result.audit.first_stack = pipeline_.first_stack_at() - header_.start;
  }
  result.names = pipeline_.writer().TakeModuleNames();
  FillHeader();
  pipeline_.writer().header().duration_nanos = result.audit.duration.count();
  result.profile = std::move(pipeline_.writer()).Build();
  return result;
}

void Capture::FillHeader() {
  ProfileWriter& writer = pipeline_.writer();
  Profile& header = writer.header();
  header.time_nanos = header_.start_utc_nanos;
  header.period_type = {writer.AddString("cpu"), writer.AddString("nanoseconds")};
  header.period = 1'000'000'000 / header_.frequency_hz;
  header.default_sample_type = writer.AddString(DefaultSampleType(header_.mode));
  for (const std::string& comment : header_.comments) {
    header.comments.push_back(writer.AddString(comment));
  }
}

}  // namespace whyslow
