#include "sampler/perf/perf_event_source.h"

#include <absl/strings/str_format.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include "base/file_io.h"
#include "base/status.h"
#include "sampler/bpf/wait_tracer.h"
#include "sampler/perf/check_target.h"
#include "sampler/perf/event_config.h"
#include "sampler/perf/proc_scan.h"
#include "sampler/perf/rights.h"

namespace whyslow {
namespace {

// Between two looks at all rings. Rings have room for three of these at full speed.
constexpr Nanoseconds kRoundInterval = std::chrono::milliseconds(50);
// At once to the caller, whose memory this is: an Event takes about half a kilobyte.
constexpr size_t kMostEventsPerRead = 8192;
// Samples and accounts of a process may come after its end is known.
constexpr Nanoseconds kGoneIsForgotten = std::chrono::seconds(3);
constexpr int kMostScans = 20;

std::vector<Cpu> OnlineCpus() {
  const std::string list = ReadFile("/sys/devices/system/cpu/online").value_or(std::string());
  std::vector<Cpu> cpus = ParseCpuList(list);
  if (cpus.empty()) {
    cpus.push_back(Cpu{0});
  }
  return cpus;
}

absl::StatusOr<std::unique_ptr<BpfSampler>> LoadBpf(const SamplerOptions& options,
                                                    const Rights& rights) {
  if (options.bpf == BpfUse::kNo) {
    return MakeStatus(absl::StatusCode::kUnavailable, "not wanted");
  }
  if (!rights.may_use_bpf()) {
    return MakeStatus(absl::StatusCode::kPermissionDenied,
                      "BPF needs root, or CAP_BPF and CAP_PERFMON");
  }
  if (!rights.first_pid_namespace) {
    return MakeStatus(absl::StatusCode::kUnimplemented,
                      "in a PID namespace (a container) process numbers differ from the kernel's");
  }
  if (options.attachment == Attachment::kPerTask) {
    return MakeStatus(absl::StatusCode::kUnavailable, "events per task need no filter");
  }
  return BpfSampler::Load({.follow_children = options.follow_children,
                           .waits = options.mode != CaptureMode::kCpu,
                           .stack_bytes = options.stack_bytes});
}

// Gives up BPF where only events per task are permitted.
absl::StatusOr<PerfEventSet> OpenEvents(PerfEventSet::Plan& plan,
                                        absl::StatusOr<std::unique_ptr<BpfSampler>>& bpf) {
  const Attachment attachment = plan.options.attachment;
  plan.switches = plan.options.switch_events || !bpf.ok();
  if (attachment != Attachment::kPerTask) {
    absl::StatusOr<PerfEventSet> events = PerfEventSet::OpenPerCpu(plan);
    if (attachment == Attachment::kPerCpu || !absl::IsPermissionDenied(events.status())) {
      return events;
    }
    bpf = MakeStatus(absl::StatusCode::kPermissionDenied, "events per CPU are not permitted");
  }
  plan.switches = true;
  return PerfEventSet::PerTask(plan);
}

}  // namespace

PerfEventSource::PerfEventSource(PerfEventSet events, const SamplerOptions& options,
                                 UniqueFd stop_event, std::unique_ptr<BpfSampler> bpf)
    : options_(options),
      stop_event_(std::move(stop_event)),
      bpf_(std::move(bpf)),
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
  const Rights rights = ReadRights();
  const std::vector<Cpu> cpus = OnlineCpus();
  PerfEventSet::Plan plan = {
      .options = options,
      .cpus = cpus,
      .rings = PlanRings(options, cpus.size(), LockedMemoryBudget(rights, cpus.size()))};
  absl::StatusOr<std::unique_ptr<BpfSampler>> bpf = LoadBpf(options, rights);
  if (options.bpf == BpfUse::kYes) {
    RETURN_IF_ERROR(bpf.status());
  }
  ASSIGN_OR_RETURN(PerfEventSet events, OpenEvents(plan, bpf));
  if (!bpf.ok()) {
    facts.why_no_bpf = std::string(bpf.status().message());
  }
  UniqueFd stop_event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop_event) {
    return ErrnoStatus(errno, "eventfd");
  }
  std::unique_ptr<PerfEventSource> source(new PerfEventSource(
      std::move(events), options, std::move(stop_event), bpf.ok() ? *std::move(bpf) : nullptr));
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
  if (bpf_ != nullptr) {
    RETURN_IF_ERROR(events.SetSampleFilter(bpf_->sample_filter()));
  }
  DescribeFacts();
  return Start(scan);
}

absl::Status PerfEventSource::Start(const AttachScan& scan) {
  if (facts_.waits) {
    RETURN_IF_ERROR(bpf_->waits()->Attach());
  }
  AddBaselines(scan);
  started_at_ = facts_.waits ? bpf_->waits()->Start() : MonotonicClock::now();
  if (options_.mode != CaptureMode::kOffCpu) {
    RETURN_IF_ERROR(reader_.events().Start());
  }
  if (facts_.waits) {
    waits_.clear();
    bpf_->waits()->TakeSleepers(waits_);
    AddWaits();
    for (const auto& [pid, threads] : scan.processes()) {
      for (const AttachScan::Thread& thread : threads) {
        const auto stat = ReadProcStat(pid, thread.tid);
        if (stat && !stat->has_ended()) {
          bpf_->waits()->AddRunning(pid, thread.tid);
        }
      }
    }
  }
  return absl::OkStatus();
}

WaitStackLearner* PerfEventSource::wait_stack_learner() const {
  return facts_.waits ? bpf_->waits() : nullptr;
}

void PerfEventSource::DescribeFacts() {
  const PerfEventSet& events = reader_.events();
  facts_.frequency_hz = options_.frequency_hz;
  facts_.per_cpu = !events.is_per_task();
  facts_.kernel_mode = events.has_kernel_mode();
  facts_.bpf = bpf_ != nullptr;
  facts_.waits = bpf_ != nullptr && bpf_->waits() != nullptr;
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
}

absl::Status PerfEventSource::OpenThreads(AttachScan& scan) {
  PerfEventSet& events = reader_.events();
  absl::flat_hash_set<Tid> inherited;
  for (int scans = 0; scans < kMostScans; ++scans) {
    const std::vector<AttachScan::Thread> found = scan.FindMore();
    // What a thread with events started has them too.
    reader_.ReadSideband(&inherited);
    RETURN_IF_ERROR(UpdateFilter());
    for (const AttachScan::Thread& thread : found) {
      reader_.AddProcess(thread.pid);
      targets_.AddThread(thread.pid, thread.tid);
      if (!events.is_per_task() || inherited.contains(thread.tid)) {
        continue;
      }
      absl::Status opened = events.AddThread(thread.tid);
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
    if (bpf_ != nullptr && bpf_->waits() != nullptr) {
      bpf_->waits()->Follow(event);  // again when it is given out, which changes nothing
    }
    reader_.Add(std::move(event));
  }
}

void PerfEventSource::AddBaselines(const AttachScan& scan) {
  std::vector<Event> baselines;
  for (const auto& [pid, threads] : scan.processes()) {
    for (const AttachScan::Thread& thread : threads) {
      times_.AddBaseline(pid, thread.tid, baselines);
      if (facts_.waits) {  // the BPF programs count from zero
        std::get<ThreadRunTime>(baselines.back().what).total = Nanoseconds::zero();
      }
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

absl::Status PerfEventSource::UpdateFilter() {
  const std::vector<Pid> came = reader_.TakeNewProcesses();
  const Instant now = MonotonicClock::now();
  for (; !gone_.empty() && gone_.front().first + kGoneIsForgotten < now; gone_.pop_front()) {
    const Pid pid = gone_.front().second;
    if (!targets_.Contains(pid)) {  // else the number is in use again
      reader_.RemoveProcess(pid);
      if (bpf_ != nullptr) {
        bpf_->RemoveTarget(pid);
      }
    }
  }
  for (const Pid pid : bpf_ != nullptr ? came : std::vector<Pid>()) {
    RETURN_IF_ERROR(bpf_->AddTarget(pid));
  }
  return absl::OkStatus();
}

void PerfEventSource::AskRunTimes(ThreadTimes::Round round) {
  std::vector<Event> events;
  times_.Poll(targets_, round, events);
  if (facts_.waits) {
    // Asked all the same: for threads whose end nobody has told.
    std::erase_if(events, [](const Event& event) {
      return std::holds_alternative<ThreadRunTime>(event.what);
    });
    bpf_->waits()->TakeRunTimes(events);
  }
  for (Event& event : events) {
    reader_.Add(std::move(event));
  }
}

void PerfEventSource::TakeEndedThreads() {
  if (bpf_ == nullptr) {
    return;
  }
  ended_.clear();
  bpf_->TakeEndedThreads(ended_);
  for (const EndedThread& ended : ended_) {
    if (ended.is_final) {
      unaccounted_.erase(ended.tid);
    }
    reader_.Add(
        {.when = ended.when,
         .what = ThreadRunTime{.pid = ended.pid, .tid = ended.tid, .total = ended.run_time}});
  }
}

void PerfEventSource::AddWaits() {
  for (Event& event : waits_) {
    reader_.Add(std::move(event));
  }
}

void PerfEventSource::TakeWaits() {
  if (facts_.waits) {
    waits_.clear();
    bpf_->waits()->Take(waits_);
    AddWaits();
  }
}

void PerfEventSource::AwaitEndedThreads() {
  constexpr auto kPause = std::chrono::milliseconds(5);
  constexpr int kMostPauses = 60;
  for (int pauses = 0; !unaccounted_.empty() && pauses < kMostPauses; ++pauses) {
    if (pauses > 0) {
      std::this_thread::sleep_for(kPause);
    }
    absl::erase_if(unaccounted_, [this](const std::pair<const Tid, Pid>& thread) {
      if (facts_.waits) {
        return false;
      }
      const auto total = ReadRunTime(thread.second, thread.first);  // a zombie's
      if (total) {
        reader_.Add(
            {.when = MonotonicClock::now(),
             .what = ThreadRunTime{.pid = thread.second, .tid = thread.first, .total = *total}});
      }
      return total.has_value();
    });
    TakeEndedThreads();
  }
}

void PerfEventSource::ReadOn() {
  const Instant now = MonotonicClock::now();
  const auto woken = reader_.Wait(stop_event_.get(), std::max(next_round_ - now, Nanoseconds()));
  if (stop_) {
    Finish();
    return;
  }
  // A process that the BPF programs were not told of goes unsampled, which the profile shows as
  // time without samples: no reason to end it.
  if (woken == RingReader::Woken::kSideband && MonotonicClock::now() < next_round_) {
    reader_.ReadSideband();
    UpdateFilter().IgnoreError();
    return;
  }
  const Instant began = MonotonicClock::now();
  TakeWaits();
  reader_.ReadRound();
  UpdateFilter().IgnoreError();
  TakeEndedThreads();
  next_round_ = began + kRoundInterval;
  if (times_.IsDue(began)) {
    AskRunTimes(ThreadTimes::Round::kUsual);
  }
}

void PerfEventSource::Finish() {
  reader_.events().Stop();
  ended_at_ = facts_.waits ? bpf_->waits()->Stop() : MonotonicClock::now();
  // At once: a busy thread goes on using time.
  AskRunTimes(ThreadTimes::Round::kLast);
  if (facts_.waits) {
    waits_.clear();
    bpf_->waits()->Finish(waits_);
    AddWaits();
  }
  reader_.ReadRound();
  TakeEndedThreads();
  reader_.EndAll();
  stage_ = Stage::kDraining;
}

void PerfEventSource::Note(const Event& event, std::vector<Event>& out) {
  if (const auto* account = std::get_if<ThreadRunTime>(&event.what)) {
    unaccounted_.erase(account->tid);
  }
  const auto* exited = std::get_if<ThreadExited>(&event.what);
  if (exited == nullptr) {
    return;
  }
  if (!targets_.Contains(exited->pid)) {
    gone_.emplace_back(event.when, exited->pid);
  }
  if (bpf_ != nullptr) {
    unaccounted_[exited->tid] = exited->pid;
  } else {
    const Nanoseconds total =
        times_.BaselineOf(exited->tid) + reader_.CloseRunTime(exited->tid, event.when);
    out.push_back({.when = event.when,
                   .what = ThreadRunTime{.pid = exited->pid, .tid = exited->tid, .total = total}});
  }
  times_.Forget(exited->tid);
}

void PerfEventSource::GiveOut(std::vector<Event>& out) {
  ordered_.clear();
  more_to_give_ = reader_.Release(ordered_, kMostEventsPerRead);
  for (Event& event : ordered_) {
    if (targets_.Apply(event)) {
      if (facts_.waits) {
        bpf_->waits()->Follow(event);
      }
      Note(event, out);
      out.push_back(std::move(event));
    }
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
    AskRunTimes(ThreadTimes::Round::kLast);
    AwaitEndedThreads();
    stage_ = Stage::kClosing;
  } else if (stage_ == Stage::kClosing) {
    stage_ = Stage::kEnded;
  } else if (targets_.empty()) {
    Finish();
  }
  return true;
}

}  // namespace whyslow
