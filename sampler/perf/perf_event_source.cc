#include "sampler/perf/perf_event_source.h"

#include <absl/strings/str_format.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <utility>

#include "base/file_io.h"
#include "base/status.h"
#include "sampler/perf/check_target.h"
#include "sampler/perf/event_config.h"
#include "sampler/perf/rights.h"

namespace whyslow {
namespace {

// Between two looks at all rings. Rings have room for three of these at full speed.
constexpr Nanoseconds kRoundInterval = std::chrono::milliseconds(50);
// At once to the caller, whose memory this is: an Event takes about half a kilobyte.
constexpr size_t kMostEventsPerRead = 8192;
constexpr int kMostScans = 20;

std::vector<Cpu> OnlineCpus() {
  const std::string list = ReadFile("/sys/devices/system/cpu/online").value_or(std::string());
  std::vector<Cpu> cpus = ParseCpuList(list);
  if (cpus.empty()) {
    cpus.push_back(Cpu{0});
  }
  return cpus;
}

absl::StatusOr<PerfEventSet> OpenEvents(const PerfEventSet::Plan& plan) {
  const Attachment attachment = plan.options.attachment;
  if (attachment != Attachment::kPerTask) {
    absl::StatusOr<PerfEventSet> events = PerfEventSet::OpenPerCpu(plan);
    if (attachment == Attachment::kPerCpu || !absl::IsPermissionDenied(events.status())) {
      return events;
    }
  }
  return PerfEventSet::PerTask(plan);
}

}  // namespace

PerfEventSource::PerfEventSource(PerfEventSet events, const SamplerOptions& options,
                                 UniqueFd stop_event)
    : options_(options),
      stop_event_(std::move(stop_event)),
      reader_(std::move(events),
              {.follow_children = options.follow_children, .switch_events = options.switch_events}),
      targets_(options.follow_children) {}

PerfEventSource::~PerfEventSource() = default;

absl::StatusOr<std::unique_ptr<PerfEventSource>> PerfEventSource::Open(
    const SamplerOptions& wanted, const std::vector<Pid>& targets) {
  for (const Pid pid : targets) {
    RETURN_IF_ERROR(CheckTarget(pid));
  }
  RaiseDescriptorLimit();
  Facts facts;
  const auto max_rate = ReadNumberFile("/proc/sys/kernel/perf_event_max_sample_rate");
  const SamplerOptions options = WithinLimits(
      wanted, max_rate ? std::optional(static_cast<uint32_t>(*max_rate)) : std::nullopt,
      facts.warnings);
  const std::vector<Cpu> cpus = OnlineCpus();
  const PerfEventSet::Plan plan = {
      .options = options,
      .cpus = cpus,
      .rings = PlanRings(options, cpus.size(), LockedMemoryBudget(ReadRights(), cpus.size())),
      .switches = true};
  ASSIGN_OR_RETURN(PerfEventSet events, OpenEvents(plan));
  UniqueFd stop_event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop_event) {
    return ErrnoStatus(errno, "eventfd");
  }
  std::unique_ptr<PerfEventSource> source(
      new PerfEventSource(std::move(events), options, std::move(stop_event)));
  source->facts_ = std::move(facts);
  RETURN_IF_ERROR(source->Attach(targets));
  return source;
}

absl::Status PerfEventSource::Attach(const std::vector<Pid>& targets) {
  attached_at_ = MonotonicClock::now();
  for (const Pid pid : targets) {
    reader_.AddProcess(pid);
  }
  AttachScan scan(targets, options_.follow_children);
  RETURN_IF_ERROR(OpenThreads(scan));
  if (scan.processes().empty()) {
    return MakeStatus(absl::StatusCode::kNotFound,
                      absl::StrFormat("process %d: it ended before it could be profiled",
                                      Number(targets.front())));
  }
  DescribeFound(scan);
  PerfEventSet& events = reader_.events();
  facts_.frequency_hz = options_.frequency_hz;
  facts_.per_cpu = !events.is_per_task();
  facts_.kernel_mode = events.has_kernel_mode();
  if (events.rings_were_shortened()) {
    facts_.warnings.push_back(
        "the limit on locked memory leaves short rings, which may lose samples at high "
        "frequencies. CAP_IPC_LOCK lifts it, or `sysctl kernel.perf_event_mlock_kb`");
  }
  if (options_.kernel_frames && !facts_.kernel_mode) {
    facts_.warnings.push_back(
        "samples in kernel mode are not permitted: kernel frames will be missing. Run as root, or "
        "grant whyslow the capabilities that `whyslow doctor` names");
  }
  return events.Start();
}

absl::Status PerfEventSource::OpenThreads(AttachScan& scan) {
  PerfEventSet& events = reader_.events();
  absl::flat_hash_set<Tid> inherited;
  for (int scans = 0; scans < kMostScans; ++scans) {
    const std::vector<AttachScan::Thread> found = scan.FindMore();
    // What a thread with events started has them too.
    reader_.ReadSideband(&inherited);
    for (const AttachScan::Thread& thread : found) {
      reader_.AddProcess(thread.pid);
      targets_.AddProcess(thread.pid);
      if (!events.is_per_task() || inherited.contains(thread.tid)) {
        continue;
      }
      const absl::Status opened = events.AddThread(thread.tid);
      if (!opened.ok() && !absl::IsNotFound(opened)) {  // not found: it has ended meanwhile
        return opened;
      }
    }
    if (found.empty()) {
      break;
    }
  }
  return absl::OkStatus();
}

void PerfEventSource::DescribeFound(const AttachScan& scan) {
  for (Event& event : scan.Describe(attached_at_)) {
    reader_.Add(std::move(event));
  }
  std::vector<Event> baselines;
  for (const auto& [pid, threads] : scan.processes()) {
    for (const AttachScan::Thread& thread : threads) {
      times_.AddBaseline(pid, thread.tid, baselines);
    }
  }
  for (Event& event : baselines) {
    reader_.CountRunTimeFrom(std::get<ThreadRunTime>(event.what).tid, event.when);
    reader_.Add(std::move(event));
  }
}

void PerfEventSource::Stop() {
  stop_ = true;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(stop_event_.get(), &one, sizeof(one));
}

void PerfEventSource::AskRunTimes() {
  std::vector<Event> events;
  times_.Poll(targets_, events);
  for (Event& event : events) {
    reader_.Add(std::move(event));
  }
}

void PerfEventSource::ReadOn() {
  const Instant now = MonotonicClock::now();
  const auto woken = reader_.Wait(stop_event_.get(), std::max(next_round_ - now, Nanoseconds()));
  if (stop_) {
    Finish();
    return;
  }
  if (woken == RingReader::Woken::kSideband && MonotonicClock::now() < next_round_) {
    reader_.ReadSideband();
    return;
  }
  const Instant began = MonotonicClock::now();
  reader_.ReadRound();
  next_round_ = began + kRoundInterval;
  if (times_.IsDue(began)) {
    AskRunTimes();
  }
}

void PerfEventSource::Finish() {
  reader_.events().Stop();
  reader_.ReadRound();
  reader_.EndAll();
  stage_ = Stage::kDraining;
}

void PerfEventSource::CloseAccount(const ThreadExited& exited, Instant when,
                                   std::vector<Event>& out) {
  const Nanoseconds total = times_.BaselineOf(exited.tid) + reader_.TakeRunTime(exited.tid);
  times_.Forget(exited.tid);
  out.push_back(
      {.when = when, .what = ThreadRunTime{.pid = exited.pid, .tid = exited.tid, .total = total}});
}

void PerfEventSource::GiveOut(std::vector<Event>& out) {
  ordered_.clear();
  more_to_give_ = reader_.Release(ordered_, kMostEventsPerRead);
  for (Event& event : ordered_) {
    if (!targets_.Apply(event)) {
      continue;
    }
    if (const auto* exited = std::get_if<ThreadExited>(&event.what)) {
      CloseAccount(*exited, event.when, out);
    }
    out.push_back(std::move(event));
  }
}

bool PerfEventSource::Read(std::vector<Event>& out) {
  if (stage_ == Stage::kEnded) {
    return false;
  }
  if (stage_ == Stage::kRunning && !more_to_give_) {
    ReadOn();
  }
  GiveOut(out);
  if (more_to_give_) {
    return true;
  }
  if (stage_ == Stage::kDraining) {
    // Every thread is known now, also those that began a moment ago.
    AskRunTimes();
    stage_ = Stage::kClosing;
  } else if (stage_ == Stage::kClosing) {
    stage_ = Stage::kEnded;
  } else if (targets_.empty()) {
    Finish();
  }
  return true;
}

}  // namespace whyslow
