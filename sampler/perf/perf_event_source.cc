#include "sampler/perf/perf_event_source.h"

#include <absl/strings/str_format.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include "base/file_io.h"
#include "base/status.h"
#include "sampler/bpf/python_tracer.h"
#include "sampler/bpf/wait_tracer.h"
#include "sampler/perf/check_target.h"
#include "sampler/perf/event_config.h"
#include "sampler/perf/proc_scan.h"
#include "sampler/perf/rights.h"
#include "sampler/perf/thread_look.h"
#include "sampler/python_reader.h"

namespace whyslow {
namespace {

// Between two looks at all rings. Rings have room for three of these at full speed.
constexpr Nanoseconds kRoundInterval = std::chrono::milliseconds(50);
// At once to the caller, whose memory this is: an Event takes about half a kilobyte.
constexpr size_t kMostEventsPerRead = 8192;
// Samples and accounts of a process may come after its end is known.
constexpr Nanoseconds kGoneIsForgotten = std::chrono::seconds(3);
constexpr int kMostScans = 20;
// Two events for each thread and CPU; beyond, sleeping threads are looked at.
constexpr size_t kMostStopDescriptors = 16'384;

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
                           .python = options.python,
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
      reader_(std::move(events), {.follow_children = options.follow_children,
                                  .switch_events = options.switch_events,
                                  .waits = options.mode != CaptureMode::kCpu && bpf_ == nullptr,
                                  .look = [this](const Event& event) { LookForPython(event); }}),
      targets_(options.follow_children) {}

PerfEventSource::~PerfEventSource() = default;

absl::StatusOr<std::unique_ptr<PerfEventSource>> PerfEventSource::Open(
    const SamplerOptions& wanted, const std::vector<Pid>& targets, PythonReader* python) {
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
  source->python_ = python;
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
  DescribeWaits(scan);
  return Start(scan);
}

WaitTracer* PerfEventSource::tracer() const { return bpf_ == nullptr ? nullptr : bpf_->waits(); }

PythonTracer* PerfEventSource::python_tracer() const {
  return bpf_ == nullptr ? nullptr : bpf_->python();
}

bool PerfEventSource::counts_switches() const {
  return options_.mode != CaptureMode::kCpu && tracer() == nullptr;
}

absl::Status PerfEventSource::Start(const AttachScan& scan) {
  AddBaselines(scan);
  started_at_ = tracer() != nullptr ? tracer()->Start() : MonotonicClock::now();
  if (counts_switches()) {
    CountSwitches(scan);
  }
  if (options_.mode != CaptureMode::kOffCpu) {
    RETURN_IF_ERROR(reader_.events().Start());
  }
  if (tracer() != nullptr) {
    waits_.clear();
    const bool found_sleepers = tracer()->TakeSleepers(waits_);
    for (Event& event : waits_) {
      WalkSleeper(std::get<WaitStack>(event.what));
    }
    AddAll(waits_);
    for (const auto& [pid, threads] : found_sleepers ? scan.processes() : AttachScan::Threads()) {
      for (const AttachScan::Thread& thread : threads) {
        AddRunning(pid, thread.tid);
      }
    }
  }
  return absl::OkStatus();
}

void PerfEventSource::AddRunning(Pid pid, Tid tid) {
  const auto lives = [pid, tid] {
    const auto stat = ReadProcStat(pid, tid);
    return stat && !stat->has_ended();
  };
  if (lives()) {
    tracer()->AddRunning(pid, tid);
    if (!lives()) {
      tracer()->RemoveThread(tid);
    }
  }
}

void PerfEventSource::CountSwitches(const AttachScan& scan) {
  switch_waits_ = std::make_unique<SwitchWaits>(started_at_, options_.stack_bytes);
  for (const auto& [pid, threads] : scan.processes()) {
    for (const AttachScan::Thread& thread : threads) {
      switch_waits_->Found(pid, thread.tid);
    }
  }
}

WaitStackLearner* PerfEventSource::wait_stack_learner() const { return tracer(); }

void PerfEventSource::DescribeFacts() {
  const PerfEventSet& events = reader_.events();
  facts_.frequency_hz = options_.frequency_hz;
  facts_.per_cpu = !events.is_per_task();
  facts_.kernel_mode = events.has_kernel_mode();
  facts_.bpf = bpf_ != nullptr;
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

void PerfEventSource::DescribeWaits(const AttachScan& scan) {
  if (!counts_switches()) {
    return;
  }
  facts_.warnings.push_back("waits are measured without BPF (" + facts_.why_no_bpf +
                            "): time in the run queue counts as waiting, and who ended a wait is "
                            "unknown");
  if (!facts_.stops) {
    facts_.warnings.push_back(absl::StrFormat(
        "stacks of waits are read from threads that sleep, %d a second; a wait that none was read "
        "of is given that of one about as long",
        SwitchWaits::kLooksPerSecond));
  }
  if (!MayLookAt(scan.processes().begin()->first)) {
    facts_.warnings.push_back(
        facts_.stops
            ? "stacks of threads that slept already at the attach are missing: reading their "
              "memory "
              "is not permitted. Grant CAP_SYS_PTRACE, or `sysctl kernel.yama.ptrace_scope=0`"
            : "waits have times only, no stacks: reading the target's memory is not permitted. "
              "Grant CAP_SYS_PTRACE, or `sysctl kernel.yama.ptrace_scope=0`");
  }
}

void PerfEventSource::OpenStopsOf(Tid tid) {
  PerfEventSet& events = reader_.events();
  if (!facts_.stops || events.descriptors() > kMostStopDescriptors) {
    return;
  }
  const absl::Status opened = events.AddStopsOf(tid);
  facts_.stops = opened.ok() || absl::IsNotFound(opened);  // not found: it has ended meanwhile
}

absl::Status PerfEventSource::OpenThreads(AttachScan& scan) {
  PerfEventSet& events = reader_.events();
  absl::flat_hash_set<Tid> inherited;
  facts_.stops = counts_switches();
  for (int scans = 0; scans < kMostScans; ++scans) {
    const std::vector<AttachScan::Thread> found = scan.FindMore();
    // What a thread with events started has them too.
    reader_.ReadSideband(&inherited);
    if (scans == 0) {
      inherited.clear();  // nothing had events of its own yet
    }
    RETURN_IF_ERROR(UpdateFilter());
    for (const AttachScan::Thread& thread : found) {
      reader_.AddProcess(thread.pid);
      targets_.AddThread(thread.pid, thread.tid);
      if (inherited.contains(thread.tid)) {
        continue;
      }
      absl::Status opened = events.is_per_task() ? events.AddThread(thread.tid) : absl::OkStatus();
      if (!opened.ok() && !absl::IsNotFound(opened)) {  // not found: it has ended meanwhile
        return opened;
      }
      OpenStopsOf(thread.tid);
    }
    if (found.empty()) {
      break;
    }
  }
  return absl::OkStatus();
}

void PerfEventSource::DescribeFound(const AttachScan& scan) {
  for (Event& event : scan.Describe(attached_at_)) {
    LookForPython(event);
    if (tracer() != nullptr) {
      tracer()->Follow(event);  // again when it is given out, which changes nothing
    }
    reader_.Add(std::move(event));
  }
}

void PerfEventSource::AddBaselines(const AttachScan& scan) {
  std::vector<Event> baselines;
  for (const auto& [pid, threads] : scan.processes()) {
    for (const AttachScan::Thread& thread : threads) {
      times_.AddBaseline(pid, thread.tid, baselines);
      if (tracer() != nullptr) {  // the BPF programs count from zero
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
      if (python_tracer() != nullptr) {
        python_tracer()->Leave(pid);
      }
      if (switch_waits_ != nullptr) {
        switch_waits_->Forget(pid);
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
  if (tracer() != nullptr) {
    // Asked all the same: for threads whose end nobody has told.
    std::erase_if(events, [](const Event& event) {
      return std::holds_alternative<ThreadRunTime>(event.what);
    });
    tracer()->TakeRunTimes(events);
  }
  AddAll(events);
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

void PerfEventSource::AddAll(std::vector<Event>& events) {
  for (Event& event : events) {
    reader_.Add(std::move(event));
  }
}

void PerfEventSource::TakeWaits() {
  if (tracer() != nullptr) {
    waits_.clear();
    tracer()->Take(waits_);
    AddAll(waits_);
  }
}

void PerfEventSource::TakePython() {
  if (python_tracer() == nullptr || python_ == nullptr) {
    return;
  }
  python_stacks_.clear();
  python_tracer()->Take(python_stacks_);
  std::vector<Event> told;
  for (Event& event : python_stacks_) {
    python_->Read(std::get<PythonStack>(event.what), event.when, told);
  }
  AddAll(python_stacks_);
  AddAll(told);
}

void PerfEventSource::LookForPython(const Event& event) {
  if (python_ == nullptr) {
    return;
  }
  const python_walk_layout* layout = python_->Look(event);
  if (layout != nullptr && python_tracer() != nullptr) {
    python_tracer()->Walk(std::get<MappingAdded>(event.what).pid, *layout);
    if (tracer() != nullptr) {
      tracer()->WalkPython();
    }
  }
}

void PerfEventSource::WalkSleeper(WaitStack& sleeper) {
  if (python_ == nullptr || !tracer()->StillSleeps(sleeper.tid, sleeper.id)) {
    return;
  }
  std::optional<PythonStack> walked = python_->Walk(sleeper.pid, sleeper.tid);
  if (!walked || !tracer()->StillSleeps(sleeper.tid, sleeper.id)) {
    return;
  }
  sleeper.python = walked->id;
  std::vector<Event> told;
  python_->Read(*walked, started_at_, told);
  reader_.Add({.when = started_at_, .what = *std::move(walked)});
  AddAll(told);
}

void PerfEventSource::TakeStops() {
  if (switch_waits_ != nullptr) {
    std::vector<Event> stops = reader_.TakeStops();
    switch_waits_->AddStops(stops);
  }
}

void PerfEventSource::PlanStops(Instant round_began) {
  const uint64_t switches = reader_.TakeSwitchCount();
  const Instant last_began = std::exchange(round_began_, round_began);
  if (!facts_.stops || last_began == Instant()) {
    return;
  }
  const double seconds = std::chrono::duration<double>(round_began - last_began).count();
  const bool wanted = stop_duty_.NextRound(switches, seconds);
  if (wanted != stops_are_sampled_) {
    stops_are_sampled_ = wanted;
    reader_.events().SampleStops(wanted);
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
      if (tracer() != nullptr) {
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
  const int python = python_tracer() != nullptr ? python_tracer()->fd() : -1;
  const auto woken =
      reader_.Wait(stop_event_.get(), python, std::max(next_round_ - now, Nanoseconds()));
  if (stop_) {
    Finish();
    return;
  }
  // A process that the BPF programs were not told of goes unsampled, which the profile shows as
  // time without samples: no reason to end it.
  const bool is_hasty = woken == RingReader::Woken::kSideband || woken == RingReader::Woken::kOther;
  if (is_hasty && MonotonicClock::now() < next_round_) {
    reader_.ReadSideband();
    UpdateFilter().IgnoreError();
    TakePython();
    return;
  }
  const Instant began = MonotonicClock::now();
  TakeWaits();
  reader_.ReadRound();
  TakePython();
  TakeStops();
  UpdateFilter().IgnoreError();
  TakeEndedThreads();
  if (switch_waits_ != nullptr) {
    switch_waits_->Look();
    PlanStops(began);
  }
  next_round_ = began + kRoundInterval;
  if (times_.IsDue(began)) {
    AskRunTimes(ThreadTimes::Round::kUsual);
  }
}

void PerfEventSource::Finish() {
  ended_at_ = tracer() != nullptr ? tracer()->Stop() : MonotonicClock::now();
  reader_.events().Stop();
  // At once: a busy thread goes on using time.
  AskRunTimes(ThreadTimes::Round::kLast);
  if (tracer() != nullptr) {
    waits_.clear();
    tracer()->Finish(waits_);
    AddAll(waits_);
  }
  reader_.ReadRound();
  TakePython();
  TakeStops();
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
    given_until_ = event.when;
    if (!targets_.Apply(event)) {
      continue;
    }
    if (tracer() != nullptr) {
      tracer()->Follow(event);
    }
    if (auto* sample = std::get_if<StackSample>(&event.what);
        sample != nullptr && python_tracer() != nullptr) {
      sample->python = python_tracer()->StackOf(*sample, event.when);
    }
    const bool is_switch = std::holds_alternative<SwitchIn>(event.what) ||
                           std::holds_alternative<SwitchOut>(event.what);
    const bool is_after_end = stage_ != Stage::kRunning && event.when > ended_at_;
    if (switch_waits_ != nullptr && !(is_switch && is_after_end)) {
      switch_waits_->Apply(event);
    }
    if (!is_switch || options_.switch_events) {
      Note(event, out);
      out.push_back(std::move(event));
      if (python_ != nullptr && std::holds_alternative<MappingAdded>(out.back().what)) {
        python_->Tell(MappingAdded(std::get<MappingAdded>(out.back().what)), given_until_, out);
      }
    }
  }
  if (!more_to_give_ && switch_waits_ != nullptr && stage_ != Stage::kEnded) {
    GiveWaits(out);
  }
}

void PerfEventSource::GiveWaits(std::vector<Event>& out) {
  waits_.clear();
  if (stage_ == Stage::kClosing) {
    switch_waits_->Finish(ended_at_, waits_);
  } else if (stage_ == Stage::kRunning) {
    switch_waits_->Take(reader_.settled_until(), waits_);
  }
  for (Event& event : waits_) {
    given_until_ = std::max(given_until_, event.when);
    event.when = given_until_;
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
