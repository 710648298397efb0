#include "sampler/perf/switch_waits.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <type_traits>
#include <variant>

#include "sampler/perf/thread_look.h"
#include "sampler/target/system_calls.h"
#include "sampler/target/target_memory.h"

namespace whyslow {
namespace {

// Looks: each costs us about 50 µs and the target nothing.
constexpr double kLooksAtFirst = 300;  // everything that sleeps at the attach
constexpr double kMostLooksAtOnce = 12;
// Of our own caches.
constexpr size_t kMostPlaces = 8192;
constexpr size_t kMostCalls = 16'384;
// How often sums are told.
constexpr Nanoseconds kTellInterval = std::chrono::milliseconds(250);

uint64_t HashOf(const std::vector<RuntimeAddress>& callchain) {
  uint64_t hash = callchain.size();
  for (const RuntimeAddress address : callchain) {
    hash = (hash ^ address.value()) * 0x9e3779b97f4a7c15;
    hash ^= hash >> 29;
  }
  return hash;
}

#if defined(__x86_64__)
// "mov $NUMBER,%eax; syscall" or "xor %eax,%eax; syscall", behind which the program counter stands.
std::optional<int32_t> NumberInCode(const std::array<uint8_t, 7>& code, const UserRegisters&) {
  if (code[5] != 0x0f || code[6] != 0x05) {
    return std::nullopt;
  }
  int32_t number = 0;
  if (code[0] == 0xb8) {
    std::memcpy(&number, code.data() + 1, sizeof(number));
    return number;
  }
  return code[3] == 0x31 && code[4] == 0xc0 ? std::optional(0) : std::nullopt;
}
#else
// "svc #0"; the number is in x8, which the kernel leaves alone.
std::optional<int32_t> NumberInCode(const std::array<uint8_t, 7>& code,
                                    const UserRegisters& registers) {
  constexpr uint8_t kNumberRegister = 8;
  constexpr std::array<uint8_t, 4> kCall = {0x01, 0x00, 0x00, 0xd4};
  const bool is_call = std::equal(kCall.begin(), kCall.end(), code.begin() + 3);
  const auto number = registers.Get(kNumberRegister);
  return is_call && number ? std::optional(static_cast<int32_t>(*number)) : std::nullopt;
}
#endif

}  // namespace

SwitchWaits::SwitchWaits(Instant began, uint32_t stack_bytes)
    : stack_bytes_(stack_bytes),
      ledger_(began),
      looks_(kLooksAtFirst),
      looked_at_(began),
      told_at_(began) {}

KernelPlace SwitchWaits::PlaceOf(const std::vector<RuntimeAddress>& callchain) {
  if (!kernel_places_) {
    kernel_places_ = KernelPlaces::OfThisKernel();
  }
  if (places_.size() >= kMostPlaces) {
    places_.clear();
  }
  const auto [row, is_new] = places_.try_emplace(HashOf(callchain));
  if (is_new) {
    row->second = kernel_places_->Find(callchain);
  }
  return row->second;
}

std::optional<int32_t> SwitchWaits::CallAt(const WaitStack& stack) {
  if (!stack.registers || !stack.registers->pc()) {
    return std::nullopt;
  }
  if (calls_.size() >= kMostCalls) {
    calls_.clear();
  }
  const uint64_t pc = *stack.registers->pc();
#if defined(__x86_64__)
  const auto [row, is_new] = calls_.try_emplace({stack.pid, pc});
  if (!is_new) {
    return row->second;
  }
#endif
  using Code = std::array<uint8_t, 7>;
  const auto code = LiveMemory(stack.pid).ReadValue<Code>(RuntimeAddress(pc - sizeof(Code)));
  const auto number = code ? NumberInCode(*code, *stack.registers) : std::nullopt;
#if defined(__x86_64__)
  row->second = number;
#endif
  return number;
}

std::shared_ptr<const WaitObject> SwitchWaits::ObjectOf(const WaitStack& stack) {
  const auto descriptor =
      WaitedDescriptor(stack.system_call, stack.arguments, LiveMemory(stack.pid));
  if (!descriptor) {
    return nullptr;
  }
  const auto [row, is_new] = objects_.try_emplace({stack.pid, *descriptor});
  if (is_new) {
    row->second = descriptors_.Find(stack.pid, *descriptor);
  }
  return row->second;
}

StopSeen SwitchWaits::SeenOf(Event& stop) {
  StopSeen seen{.when = stop.when, .stack = std::move(std::get<WaitStack>(stop.what))};
  WaitStack& stack = seen.stack;
  const KernelPlace place = PlaceOf(stack.kernel_callchain);
  stack.system_call = place.system_call;
  // Where the kernel's names are hidden nothing says that it is no system call either.
  if (stack.system_call < 0 && (place.in_system_call || kernel_places_->empty())) {
    stack.system_call = CallAt(stack).value_or(-1);
  }
  seen.why = place.why;
  if (seen.why == OffCpu::kBlocked && SystemCallOf(stack.system_call).name == "sched_yield") {
    seen.why = OffCpu::kRunnable;
  }
  seen.for_device = place.for_device;
  // It waits for memory that others change, or for a device.
  seen.uninterruptible = place.for_device || (place.in_page_fault && stack.system_call < 0);
  seen.has_copy = !stack.stack.empty();
  seen.object = ObjectOf(stack);
  return seen;
}

void SwitchWaits::AddStops(std::vector<Event>& stops) {
  objects_.clear();
  for (Event& stop : stops) {
    ledger_.Saw(SeenOf(stop), /*looked=*/false);
  }
}

void SwitchWaits::LookAtThread(Pid pid, Tid tid) {
  StopSeen seen;
  if (LookAt(pid, tid, stack_bytes_, seen) == LookOutcome::kSeen) {
    seen.object = ObjectOf(seen.stack);
    ledger_.Saw(std::move(seen), /*looked=*/true);
  }
}

void SwitchWaits::Look() {
  const Instant now = MonotonicClock::now();
  const double seconds = std::chrono::duration<double>(now - looked_at_).count();
  looked_at_ = now;
  looks_ = std::max(looks_, std::min(looks_ + seconds * kLooksPerSecond, kMostLooksAtOnce));
  objects_.clear();
  for (const WaitLedger::Unseen& thread : ledger_.TakeUnseen(static_cast<size_t>(looks_))) {
    looks_ -= 1;
    LookAtThread(thread.pid, thread.tid);
  }
}

void SwitchWaits::Apply(Event& event) {
  const Instant when = event.when;
  if (const auto* in = std::get_if<SwitchIn>(&event.what)) {
    ledger_.SwitchedIn(in->pid, in->tid, when);
  } else if (const auto* out = std::get_if<SwitchOut>(&event.what)) {
    ledger_.SwitchedOut(out->pid, out->tid, out->preempted, when);
  } else if (const auto* started = std::get_if<ThreadStarted>(&event.what)) {
    if (started->parent_pid == kNoPid) {
      return;
    }
    if (started->pid != started->parent_pid) {
      ledger_.code().Fork(started->parent_pid, started->pid);
    }
    ledger_.Started(started->pid, started->tid, when);
  } else if (const auto* exited = std::get_if<ThreadExited>(&event.what)) {
    ledger_.Exited(exited->tid, when);
  } else if (const auto* named = std::get_if<ThreadNamed>(&event.what)) {
    if (named->exec) {
      ledger_.code().Clear(named->pid);
      ledger_.Execed(named->pid, when);
    }
  } else if (const auto* mapping = std::get_if<MappingAdded>(&event.what)) {
    ledger_.code().Add(mapping->pid, mapping->start, mapping->size);
  } else if (auto* account = std::get_if<ThreadRunTime>(&event.what)) {
    account->total = ledger_.Account(*account, when);
  }
}

void SwitchWaits::Take(Instant settled, std::vector<Event>& out) {
  ledger_.SettleUntil(settled);
  if (settled - told_at_ >= kTellInterval) {
    told_at_ = settled;
    ledger_.Take(settled, out);
  } else {
    ledger_.TakeStacks(out);
  }
}

void SwitchWaits::Finish(Instant when, std::vector<Event>& out) { ledger_.Finish(when, out); }

}  // namespace whyslow
