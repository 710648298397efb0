// Many short-lived threads beside one steady thread; says ten times a second what each has used.
// Usage: thread_storm [SECONDS] [THREADS_PER_SECOND] [CPU_MICROSECONDS_EACH]
// A thread burns half of its CPU time, sleeps 4 ms and burns the rest, so that it lives about 5 ms.
// Lines: TRUTH MONOTONIC_NANOS storm=NANOS steady=NANOS threads=COUNT, all since the start.
#include <pthread.h>

#include <atomic>
#include <cstdio>

#include "target_support.h"

namespace {

using targets::SecondsToNanos;
using targets::ThreadCpuNanos;
using targets::WallNanos;

std::atomic<int64_t> threads_begun{0};
std::atomic<int> threads_alive{0};
std::atomic<bool> stop{false};
int64_t cpu_each = 0;

void SleepFor(int64_t nanos) {
  const timespec pause{.tv_sec = nanos / 1'000'000'000, .tv_nsec = nanos % 1'000'000'000};
  nanosleep(&pause, nullptr);
}

}  // namespace

extern "C" {
__attribute__((noinline)) void storm_burn(int64_t nanos) { targets::BurnCpuFor(nanos); }
__attribute__((noinline)) void steady_burn(int64_t nanos) {
  targets::sink ^= 1;
  targets::BurnCpuFor(nanos);
}

static void* StormThread(void*) {
  storm_burn(cpu_each / 2);
  SleepFor(4'000'000);
  storm_burn(cpu_each / 2);
  --threads_alive;
  return nullptr;
}

static void* SteadyThread(void*) {
  while (!stop) {
    steady_burn(5'000'000);
  }
  return nullptr;
}
}

namespace {

// At most 256 at a time: on a busy machine the storm thins out instead of piling up.
void BeginStormThread() {
  if (threads_alive >= 256) {
    return;
  }
  pthread_t thread{};
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, 128 * 1024);
  ++threads_alive;
  if (pthread_create(&thread, &attributes, StormThread, nullptr) == 0) {
    ++threads_begun;
  } else {
    --threads_alive;
  }
  pthread_attr_destroy(&attributes);
}

// What the process has used without its two lasting threads: threads of the storm that still run
// are in it, however long a busy machine lets them wait.
void SayTruth(clockid_t steady_clock) {
  const int64_t steady = targets::ClockNanos(steady_clock);
  const int64_t storm = targets::ClockNanos(CLOCK_PROCESS_CPUTIME_ID) - steady - ThreadCpuNanos();
  std::printf("TRUTH %lld storm=%lld steady=%lld threads=%lld\n",
              static_cast<long long>(WallNanos()), static_cast<long long>(storm),
              static_cast<long long>(steady), static_cast<long long>(threads_begun.load()));
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const double seconds = targets::NumberArgument(argc, argv, 1, 30);
  const double rate = targets::NumberArgument(argc, argv, 2, 1000);
  cpu_each = static_cast<int64_t>(targets::NumberArgument(argc, argv, 3, 500) * 1e3);
  targets::EndBySignalAfter(seconds);
  pthread_t steady{};
  clockid_t steady_clock{};
  if (pthread_create(&steady, nullptr, SteadyThread, nullptr) != 0 ||
      pthread_getcpuclockid(steady, &steady_clock) != 0) {
    return 1;
  }
  targets::SayReady();

  const int64_t begin = WallNanos();
  const int64_t end = begin + SecondsToNanos(seconds);
  const auto gap = static_cast<int64_t>(1e9 / rate);
  int64_t next_truth = begin;
  for (int64_t due = begin; WallNanos() < end; due += gap) {
    if (const int64_t early = due - WallNanos(); early > 0) {
      SleepFor(early);
    }
    BeginStormThread();
    if (WallNanos() >= next_truth) {
      SayTruth(steady_clock);
      next_truth += 100'000'000;
    }
  }
  while (threads_alive > 0) {
    SleepFor(1'000'000);
  }
  SayTruth(steady_clock);
  stop = true;
  pthread_join(steady, nullptr);
  return 0;
}
