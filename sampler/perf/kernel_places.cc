#include "sampler/perf/kernel_places.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "base/file_io.h"
#include "base/text.h"
#include "sampler/target/system_calls.h"

namespace whyslow {
namespace {

struct MeaningRow {
  std::string_view name;
  KernelPlace meaning;
};

constexpr MeaningRow kMeanings[] = {
    {"do_syscall_64", {.in_system_call = true}},
    {"el0_svc", {.in_system_call = true}},
    {"io_schedule", {.for_device = true}},
    {"io_schedule_timeout", {.for_device = true}},
    {"exc_page_fault", {.in_page_fault = true}},
    {"do_user_addr_fault", {.in_page_fault = true}},
    {"do_page_fault", {.in_page_fault = true}},
    {"do_signal_stop", {.why = OffCpu::kStopped}},
    {"ptrace_stop", {.why = OffCpu::kTraced}},
    {"__refrigerator", {.why = OffCpu::kFrozen}},
    {"do_freezer_trap", {.why = OffCpu::kFrozen}},
    {"throttle_cfs_rq_work", {.why = OffCpu::kThrottled}},
};

// A function that does nothing but go on to the next one leaves no frame, so the inner ones count
// as well: read() is ksys_read.
std::optional<int32_t> CallOfFunction(std::string_view name) {
  for (const std::string_view prefix :
       {"__x64_sys_", "__arm64_sys_", "__se_sys_", "__do_sys_", "ksys_", "__sys_"}) {
    if (name.starts_with(prefix)) {
      return SystemCallNamed(name.substr(prefix.size()));
    }
  }
  return std::nullopt;
}

std::optional<KernelPlace> MeaningOf(std::string_view name) {
  const auto* const row = std::ranges::find(kMeanings, name, &MeaningRow::name);
  if (row != std::end(kMeanings)) {
    return row->meaning;
  }
  if (const auto call = CallOfFunction(name)) {
    return KernelPlace{.system_call = *call, .in_system_call = true};
  }
  return std::nullopt;
}

struct Line {
  uint64_t address = 0;
  std::string_view name;
};

// "ffffffff81000c60 T name" and perhaps "[module]".
Line ParseLine(std::string_view text) {
  Line line;
  line.address = ToNumber<uint64_t>(TakeWord(text), 16).value_or(0);
  TakeWord(text);
  line.name = TakeWord(text);
  return line;
}

void Merge(const KernelPlace& meaning, KernelPlace& place) {
  // The outermost call is the one that was made: vfork ends up in exit, accept in accept4.
  place.system_call = meaning.system_call >= 0 ? meaning.system_call : place.system_call;
  place.in_system_call |= meaning.in_system_call;
  place.for_device |= meaning.for_device;
  place.in_page_fault |= meaning.in_page_fault;
  place.why = meaning.why != OffCpu::kBlocked ? meaning.why : place.why;
}

}  // namespace

KernelPlaces::KernelPlaces(std::string_view kallsyms) {
  // Lines are in order of their addresses, but for those of modules.
  bool is_open = false;
  for (const std::string_view text : PartsOf(kallsyms, '\n')) {
    const Line line = ParseLine(text);
    if (line.address == 0) {
      continue;
    }
    if (is_open && line.address > symbols_.back().start) {
      symbols_.back().end = line.address;
      is_open = false;
    }
    if (const std::optional<KernelPlace> meaning = MeaningOf(line.name)) {
      symbols_.push_back({.start = line.address, .end = line.address + 1, .meaning = *meaning});
      is_open = true;
    }
  }
  std::ranges::sort(symbols_, {}, &Symbol::start);
}

KernelPlaces KernelPlaces::OfThisKernel() {
  return KernelPlaces(ReadFile("/proc/kallsyms").value_or(std::string()));
}

KernelPlace KernelPlaces::Find(std::span<const RuntimeAddress> callchain) const {
  KernelPlace place;
  for (const RuntimeAddress address : callchain) {
    // All but the leaf are return addresses, which may lie behind a call that ends its function.
    const uint64_t at = address.value() - 1;
    const auto next = std::ranges::upper_bound(symbols_, at, {}, &Symbol::start);
    if (next != symbols_.begin() && at < std::prev(next)->end) {
      Merge(std::prev(next)->meaning, place);
    }
  }
  return place;
}

}  // namespace whyslow
