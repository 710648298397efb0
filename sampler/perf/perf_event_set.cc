#include "sampler/perf/perf_event_set.h"

#include <absl/strings/str_format.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "base/status.h"
#include "sampler/perf/rights.h"

namespace whyslow {
namespace {

constexpr int32_t kAnyTask = -1;

std::string RefusalText(const SamplerOptions& options, int32_t task, Cpu cpu, int error) {
  const bool cycles = options.clock == SampleClock::kCycles;
  const std::string place = task == kAnyTask ? absl::StrFormat("CPU %d", Number(cpu))
                                             : absl::StrFormat("thread %d", task);
  const std::string what =
      absl::StrFormat("perf_event_open(%s, %s)", cycles ? "cycles" : "cpu-clock", place);
  std::string why;
  if (error == EACCES || error == EPERM) {
    const auto paranoid = ReadNumberFile("/proc/sys/kernel/perf_event_paranoid");
    why = absl::StrFormat(
        "not permitted (perf_event_paranoid is %d). Run as root, or grant whyslow the "
        "capabilities that `whyslow doctor` names",
        paranoid.value_or(-1));
  } else if (error == EMFILE || error == ENFILE) {
    why = "too many open files. Raise the limit: `ulimit -n`";
  } else if (cycles && (error == ENOENT || error == EOPNOTSUPP || error == ENODEV)) {
    why = "this machine shows no cycle counter. Use --event cpu-clock";
  } else if (error == ENOSYS) {
    why =
        "this kernel, or this container's seccomp profile, has no perf events. "
        "Allow perf_event_open, or run outside of the container";
  } else {
    return what + ": " + std::error_code(error, std::generic_category()).message();
  }
  return what + ": " + why;
}

absl::Status Refusal(const SamplerOptions& options, int32_t task, Cpu cpu, int error) {
  // Only ESRCH is about the target; a missing counter or CPU is not.
  const absl::StatusCode code = error == ENOENT || error == ENODEV || error == ENXIO
                                    ? absl::StatusCode::kFailedPrecondition
                                    : ErrnoStatus(error, "").code();
  return MakeStatus(code, RefusalText(options, task, cpu, error));
}

UniqueFd PerfEventOpen(perf_event_attr attr, int32_t task, Cpu cpu) {
  return UniqueFd(static_cast<int>(syscall(SYS_perf_event_open, &attr, task, Number(cpu),
                                           /*group_fd=*/-1, PERF_FLAG_FD_CLOEXEC)));
}

}  // namespace

// Per task each event costs a descriptor per thread and CPU, so the clock's does both, unless it is
// never started.
bool PerfEventSet::HasOwnSwitches() const {
  return plan_.switches && (!per_task_ || plan_.options.mode == CaptureMode::kOffCpu);
}

std::vector<RingRole> PerfEventSet::Roles() const {
  std::vector<RingRole> roles = {RingRole::kSideband, RingRole::kSampling};
  if (HasOwnSwitches()) {
    roles.push_back(RingRole::kSwitches);
  }
  return roles;
}

perf_event_attr PerfEventSet::AttributesOf(RingRole role) const {
  perf_event_attr attr{};
  switch (role) {
    case RingRole::kSampling:
      attr = SamplingAttributes(plan_.options, rights_);
      attr.context_switch = plan_.switches && !HasOwnSwitches() ? 1 : 0;
      break;
    case RingRole::kSideband:
      attr = SidebandAttributes(rights_);
      break;
    case RingRole::kSwitches:
      attr = SwitchAttributes();
      break;
    case RingRole::kStops:
      attr = StopAttributes(plan_.options, StopKind::kBare);
      break;
    case RingRole::kStopCopies:
      attr = StopAttributes(plan_.options, StopKind::kWithCopy);
      break;
  }
  if (per_task_ || role == RingRole::kStops || role == RingRole::kStopCopies) {
    MakeInherited(attr, plan_.options.follow_children);
  }
  return attr;
}

size_t PerfEventSet::RingBytesOf(RingRole role) const {
  switch (role) {
    case RingRole::kSampling:
      return plan_.rings.sampling;
    case RingRole::kSideband:
      return plan_.rings.sideband;
    case RingRole::kSwitches:
      return plan_.rings.switches;
    case RingRole::kStops:
      return plan_.rings.stops;
    case RingRole::kStopCopies:
      return plan_.rings.stop_copies;
  }
  return 0;
}

absl::StatusOr<UniqueFd> PerfEventSet::OpenEvent(RingRole role, int32_t task, Cpu cpu) {
  UniqueFd event = PerfEventOpen(AttributesOf(role), task, cpu);
  if (!event && errno == EINVAL && role == RingRole::kSideband && rights_.kernel_symbols) {
    rights_.kernel_symbols = false;
    event = PerfEventOpen(AttributesOf(role), task, cpu);
  }
  if (!event && (errno == EACCES || errno == EPERM) && role == RingRole::kSampling &&
      rights_.kernel_mode) {
    rights_.kernel_mode = false;
    event = PerfEventOpen(AttributesOf(role), task, cpu);
  }
  if (!event) {
    return Refusal(plan_.options, task, cpu, errno);
  }
  return event;
}

EventRing* PerfEventSet::FindRing(RingRole role, size_t cpu_index) {
  const auto found = std::find_if(rings_.begin(), rings_.end(), [&](const EventRing& ring) {
    return ring.role == role && ring.cpu_index == cpu_index;
  });
  return found == rings_.end() ? nullptr : &*found;
}

absl::Status PerfEventSet::AddEvent(RingRole role, int32_t task, size_t cpu_index) {
  ASSIGN_OR_RETURN(UniqueFd event, OpenEvent(role, task, plan_.cpus[cpu_index]));
  if (role == RingRole::kSampling) {
    sampling_fds_.push_back(event.get());
  } else if (role == RingRole::kStops || role == RingRole::kStopCopies) {
    stop_fds_.push_back(event.get());
  }
  if (const EventRing* first = FindRing(role, cpu_index)) {
    if (ioctl(event.get(), PERF_EVENT_IOC_SET_OUTPUT, first->ring.fd()) != 0) {
      return ErrnoStatus(errno, "joining a thread's events to a CPU's ring");
    }
    redirected_.push_back(std::move(event));
    return absl::OkStatus();
  }
  const RecordLayout layout = RecordLayout::Of(AttributesOf(role));
  ASSIGN_OR_RETURN(PerfRing ring, PerfRing::Map(std::move(event), RingBytesOf(role)));
  rings_were_shortened_ |= ring.data_bytes() < RingBytesOf(role);
  rings_.push_back(
      {.role = role, .cpu_index = cpu_index, .layout = layout, .ring = std::move(ring)});
  return absl::OkStatus();
}

absl::StatusOr<PerfEventSet> PerfEventSet::OpenPerCpu(const Plan& plan) {
  PerfEventSet set(plan, /*per_task=*/false);
  // Role by role: what happens while the others are opened must be seen already.
  for (const RingRole role : set.Roles()) {
    for (size_t cpu = 0; cpu < plan.cpus.size(); ++cpu) {
      RETURN_IF_ERROR(set.AddEvent(role, kAnyTask, cpu));
    }
  }
  return set;
}

PerfEventSet PerfEventSet::PerTask(const Plan& plan) {
  return PerfEventSet(plan, /*per_task=*/true);
}

absl::Status PerfEventSet::AddThread(Tid tid) {
  for (const RingRole role : Roles()) {
    for (size_t cpu = 0; cpu < plan_.cpus.size(); ++cpu) {
      RETURN_IF_ERROR(AddEvent(role, Number(tid), cpu));
    }
  }
  return absl::OkStatus();
}

absl::Status PerfEventSet::AddStopsOf(Tid tid) {
  if (!rights_.kernel_mode) {
    return MakeStatus(absl::StatusCode::kPermissionDenied, "samples in kernel mode");
  }
  // In this order: of the events of one thread the kernel serves the youngest first, and (6.18) the
  // records of those that follow are as large as if they had the first one's fields too.
  for (const RingRole role : {RingRole::kStopCopies, RingRole::kStops}) {
    for (size_t cpu = 0; cpu < plan_.cpus.size(); ++cpu) {
      RETURN_IF_ERROR(AddEvent(role, Number(tid), cpu));
    }
  }
  return absl::OkStatus();
}

absl::Status PerfEventSet::SetSampleFilter(int filter) {
  for (const int fd : sampling_fds_) {
    if (ioctl(fd, PERF_EVENT_IOC_SET_BPF, filter) != 0) {
      return ErrnoStatus(errno, "attaching the BPF program that filters samples");
    }
  }
  return absl::OkStatus();
}

absl::Status PerfEventSet::Start() {
  for (const int fd : sampling_fds_) {
    if (ioctl(fd, PERF_EVENT_IOC_ENABLE, 0) != 0) {
      return ErrnoStatus(errno, "starting the sampling");
    }
  }
  return absl::OkStatus();
}

void PerfEventSet::SampleStops(bool yes) {
  for (const int fd : stop_fds_) {
    ioctl(fd, yes ? PERF_EVENT_IOC_ENABLE : PERF_EVENT_IOC_DISABLE, 0);
  }
}

void PerfEventSet::Stop() {
  for (const int fd : sampling_fds_) {
    ioctl(fd, PERF_EVENT_IOC_DISABLE, 0);
  }
}

}  // namespace whyslow
