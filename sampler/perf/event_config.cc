#include "sampler/perf/event_config.h"

#include <absl/strings/str_format.h>
#include <time.h>

#include <algorithm>
#include <bit>
#include <charconv>

#include "sampler/perf/record_parser.h"

namespace whyslow {
namespace {

constexpr size_t kSmallestRing = 32 * 1024;
constexpr size_t kAllRings = 40 * 1024 * 1024;
constexpr int kMaxCpus = 8192;

perf_event_attr CommonAttributes() {
  perf_event_attr attr{};
  attr.size = sizeof(attr);
  attr.sample_id_all = 1;
  attr.use_clockid = 1;
  attr.clockid = CLOCK_MONOTONIC;
  attr.disabled = 1;
  return attr;
}

perf_event_attr DummyAttributes() {
  perf_event_attr attr = CommonAttributes();
  attr.type = PERF_TYPE_SOFTWARE;
  attr.config = PERF_COUNT_SW_DUMMY;
  attr.sample_type = kSideRecordFields;
  attr.exclude_kernel = 1;  // it samples nothing, and without this an ordinary user is refused
  attr.disabled = 0;
  return attr;
}

size_t RingSize(double wanted, size_t most) {
  const size_t room = std::max(std::bit_floor(most), kSmallestRing);
  return std::clamp(std::bit_ceil(static_cast<size_t>(wanted)), kSmallestRing, room);
}

}  // namespace

SamplerOptions WithinLimits(SamplerOptions options, std::optional<uint32_t> max_sample_rate,
                            std::vector<std::string>& warnings) {
  const uint32_t asked = options.frequency_hz;
  options.frequency_hz = std::clamp<uint32_t>(asked, 1, kMaxFrequencyHz);
  if (options.frequency_hz != asked) {
    warnings.push_back(
        absl::StrFormat("--frequency %u: sampling at %u Hz: 1 to %u is what a timer delivers",
                        asked, options.frequency_hz, kMaxFrequencyHz));
  }
  if (max_sample_rate && *max_sample_rate > 0 && options.frequency_hz > *max_sample_rate) {
    warnings.push_back(
        absl::StrFormat("--frequency %u: sampling at %u Hz: the kernel allows no more. "
                        "`sysctl kernel.perf_event_max_sample_rate=%u` raises the limit",
                        options.frequency_hz, *max_sample_rate, options.frequency_hz));
    options.frequency_hz = *max_sample_rate;
  }
  options.stack_bytes = std::min(options.stack_bytes, kMaxStackBytes) / 8 * 8;
  return options;
}

perf_event_attr SamplingAttributes(const SamplerOptions& options, EventRights rights) {
  perf_event_attr attr = CommonAttributes();
  if (options.clock == SampleClock::kCpuClock) {
    // A fixed period: with `freq` the kernel adjusts it all the time, though a timer needs no
    // adjusting.
    attr.type = PERF_TYPE_SOFTWARE;
    attr.config = PERF_COUNT_SW_CPU_CLOCK;
    attr.sample_period = 1'000'000'000 / options.frequency_hz;
  } else {
    attr.type = PERF_TYPE_HARDWARE;
    attr.config = PERF_COUNT_HW_CPU_CYCLES;
    attr.freq = 1;
    attr.sample_freq = options.frequency_hz;
  }
  const bool kernel_frames = options.kernel_frames && rights.kernel_mode;
  attr.sample_type =
      kSideRecordFields | PERF_SAMPLE_IP | PERF_SAMPLE_PERIOD | PERF_SAMPLE_REGS_USER;
  attr.sample_regs_user = kSampledRegisters;
  if (kernel_frames || options.user_callchain) {
    attr.sample_type |= PERF_SAMPLE_CALLCHAIN;
    attr.exclude_callchain_kernel = kernel_frames ? 0 : 1;
    attr.exclude_callchain_user = options.user_callchain ? 0 : 1;
  }
  if (options.stack_bytes > 0) {
    attr.sample_type |= PERF_SAMPLE_STACK_USER;
    attr.sample_stack_user = options.stack_bytes;
  }
  attr.exclude_idle = 1;
  attr.exclude_hv = 1;
  attr.exclude_kernel = rights.kernel_mode ? 0 : 1;
  attr.watermark = 1;  // with no bytes given the kernel wakes when the ring is half full
  return attr;
}

perf_event_attr SidebandAttributes(EventRights rights) {
  perf_event_attr attr = DummyAttributes();
  attr.mmap = 1;
  attr.mmap2 = 1;
  attr.comm = 1;
  attr.comm_exec = 1;
  attr.task = 1;
  // Never attr.build_id: kernels up to 6.18 at least leave the flag that tells of it in the record
  // for the events after ours that did not ask for it, and `perf record` 6.1 dies of such a record.
  attr.ksymbol = rights.kernel_mode && rights.kernel_symbols ? 1 : 0;
  attr.watermark = 1;
  attr.wakeup_watermark = 1;
  return attr;
}

perf_event_attr SwitchAttributes() {
  perf_event_attr attr = DummyAttributes();
  attr.context_switch = 1;
  attr.watermark = 1;
  return attr;
}

perf_event_attr StopAttributes(const SamplerOptions& options, StopKind kind) {
  perf_event_attr attr = CommonAttributes();
  attr.type = PERF_TYPE_SOFTWARE;
  attr.config = PERF_COUNT_SW_CONTEXT_SWITCHES;
  attr.sample_period = 1;
  attr.sample_type = kSideRecordFields | PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_REGS_USER;
  attr.sample_regs_user = kSampledRegisters;
  // The same for both kinds: the kernel walks a stack once for all events of a switch.
  attr.exclude_callchain_user = options.user_callchain ? 0 : 1;
  if (kind == StopKind::kWithCopy && options.stack_bytes > 0) {
    attr.sample_type |= PERF_SAMPLE_STACK_USER;
    attr.sample_stack_user = options.stack_bytes;
  }
  attr.disabled = 0;
  attr.exclude_hv = 1;
  attr.watermark = 1;
  attr.wakeup_watermark = UINT32_MAX;
  return attr;
}

void MakeInherited(perf_event_attr& attr, bool follow_children) {
  attr.inherit = 1;
  attr.inherit_thread = follow_children ? 0 : 1;
}

RingPlan PlanRings(const SamplerOptions& options, size_t cpus,
                   std::optional<size_t> locked_budget) {
  constexpr double kRoomSeconds = 0.15;
  constexpr double kSampleOverhead = 512;  // registers, callchain, headers
  // Read twenty times a second: 20 MB/s, some 600 copies.
  constexpr double kStopCopies = 1024 * 1024;
  constexpr double kBareStops = 2 * 1024 * 1024;
  constexpr double kFewestCopies = 3;
  const double copy = static_cast<double>(options.stack_bytes) + kSampleOverhead;
  cpus = std::max<size_t>(cpus, 1);
  const size_t per_cpu = std::min(kAllRings, locked_budget.value_or(kAllRings)) / cpus;
  const double sampling = kRoomSeconds * options.frequency_hz *
                          (static_cast<double>(options.stack_bytes) + kSampleOverhead);
  return {
      .sampling = RingSize(sampling, per_cpu / 5 * 4),
      .sideband = RingSize(128 * 1024, per_cpu / 10),
      .switches = RingSize(512 * 1024, per_cpu / 10),
      .stops = RingSize(kBareStops / static_cast<double>(cpus), per_cpu / 10),
      .stop_copies = RingSize(
          std::max(kStopCopies / static_cast<double>(cpus), kFewestCopies * copy), per_cpu / 4)};
}

std::vector<Cpu> ParseCpuList(std::string_view text) {
  std::vector<Cpu> cpus;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    int first = 0;
    auto [next, error] = std::from_chars(at, end, first);
    int last = first;
    if (error == std::errc() && next < end && *next == '-') {
      const auto range = std::from_chars(next + 1, end, last);
      next = range.ptr;
      error = range.ec;
    }
    if (error == std::errc() && first >= 0 && last < kMaxCpus) {
      for (int cpu = first; cpu <= last; ++cpu) {
        cpus.push_back(Cpu{cpu});
      }
    }
    at = std::find(next, end, ',');
    at += at < end ? 1 : 0;
  }
  return cpus;
}

}  // namespace whyslow
