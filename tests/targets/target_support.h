// What every test target shares: saying that it is ready, burning CPU time by its own clock, and
// ending by itself.
#pragma once

#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace targets {

inline int64_t ClockNanos(clockid_t clock) {
  timespec value{};
  clock_gettime(clock, &value);
  return int64_t{value.tv_sec} * 1'000'000'000 + value.tv_nsec;
}

inline int64_t WallNanos() { return ClockNanos(CLOCK_MONOTONIC); }
inline int64_t ThreadCpuNanos() { return ClockNanos(CLOCK_THREAD_CPUTIME_ID); }

// One word of work that the compiler can neither drop nor vectorize.
inline uint64_t Mix(uint64_t word) {
  word ^= word << 13;
  word ^= word >> 7;
  word ^= word << 17;
  return word;
}

inline thread_local uint64_t sink = 88172645463325252U;

// Inlined into its caller on purpose, so that the caller is the function that burns. The clock is
// asked about every 10 microseconds: it is a system call and would otherwise be most of the work.
// Returns the thread's CPU time afterwards.
__attribute__((always_inline)) inline int64_t BurnUntilCpu(int64_t thread_cpu_nanos) {
  int64_t now = ThreadCpuNanos();
  uint64_t word = sink;
  while (now < thread_cpu_nanos) {
    for (int i = 0; i < 8'000; ++i) {
      word = Mix(word);
    }
    now = ThreadCpuNanos();
  }
  sink = word;
  return now;
}

__attribute__((always_inline)) inline void BurnCpuFor(int64_t nanos) {
  BurnUntilCpu(ThreadCpuNanos() + nanos);
}

// Stdout is a pipe in tests: nothing may stay in a buffer.
inline void SayReady() {
  std::printf("READY %d\n", static_cast<int>(getpid()));
  std::fflush(stdout);
}

inline double NumberArgument(int argc, char** argv, int index, double otherwise) {
  return argc > index ? std::atof(argv[index]) : otherwise;
}

inline int64_t SecondsToNanos(double seconds) { return static_cast<int64_t>(seconds * 1e9); }

// A target never outlives its test by much, whatever happens to the test.
inline void EndBySignalAfter(double seconds) { alarm(static_cast<unsigned>(seconds) + 60); }

}  // namespace targets
