#include "elf/truncation_guard.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <utility>

namespace whyslow {
namespace {

constexpr int kSlots = 1024;

// Written by any thread, read by the signal handler of any other: nothing but atomics.
struct Slot {
  std::atomic<bool> taken{false};
  std::atomic<uintptr_t> begin{0};
  std::atomic<uintptr_t> end{0};  // 0: not guarding
};

std::array<Slot, kSlots> guarded_regions;
uintptr_t page_size = 4096;

bool IsGuarded(uintptr_t address) {
  for (const Slot& slot : guarded_regions) {
    if (address < slot.end.load(std::memory_order_acquire) &&
        address >= slot.begin.load(std::memory_order_relaxed)) {
      return true;
    }
  }
  return false;
}

// Runs on the thread that touched the page. mmap is a plain system call, safe in a handler.
void OnBusError(int signal_number, siginfo_t* info, void* /*context*/) {
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  void* page = reinterpret_cast<void*>(address & ~(page_size - 1));  // NOLINT: an address as given
  if (!IsGuarded(address) || mmap(page, page_size, PROT_READ,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) {
    // The instruction is run again and now ends the program.
    signal(signal_number, SIG_DFL);
  }
}

void InstallHandler() {
  page_size = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  struct sigaction action {};
  action.sa_sigaction = OnBusError;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, nullptr);
}

int TakeSlot(std::span<const std::byte> region) {
  for (int i = 0; i < kSlots; ++i) {
    Slot& slot = guarded_regions[static_cast<size_t>(i)];
    if (!slot.taken.exchange(true, std::memory_order_acq_rel)) {
      const auto begin = reinterpret_cast<uintptr_t>(region.data());
      slot.begin.store(begin, std::memory_order_relaxed);
      slot.end.store(begin + region.size(), std::memory_order_release);
      return i;
    }
  }
  return -1;
}

}  // namespace

TruncationGuard::TruncationGuard(std::span<const std::byte> region) {
  static const bool kInstalled = (InstallHandler(), true);
  static_cast<void>(kInstalled);
  slot_ = region.empty() ? kNoSlot : TakeSlot(region);
}

TruncationGuard::TruncationGuard(TruncationGuard&& other) noexcept
    : slot_(std::exchange(other.slot_, kNoSlot)) {}

TruncationGuard& TruncationGuard::operator=(TruncationGuard&& other) noexcept {
  std::swap(slot_, other.slot_);
  return *this;
}

TruncationGuard::~TruncationGuard() {
  if (slot_ != kNoSlot) {
    Slot& slot = guarded_regions[static_cast<size_t>(slot_)];
    slot.end.store(0, std::memory_order_release);
    slot.taken.store(false, std::memory_order_release);
  }
}

}  // namespace whyslow
