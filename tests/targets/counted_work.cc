// A fixed amount of work in every spelling that a profiler could disturb: sleeps, pipes, signals
// and timers. Prints what came out, so that a test sees whether being profiled changed it. Usage:
// counted_work [ROUNDS]. Each round takes about 10 ms.
#include <pthread.h>
#include <sys/time.h>

#include <cerrno>
#include <csignal>
#include <cstdio>

#include "target_support.h"

namespace {

volatile std::sig_atomic_t ticks = 0;
void OnTick(int) { ticks = ticks + 1; }

// Blocking calls that fail with EINTR although the only signal is restartable would show a profiler
// that stops or signals its target.
int InterruptedSleep(long nanos) {
  const timespec pause{.tv_sec = 0, .tv_nsec = nanos};
  return nanosleep(&pause, nullptr) != 0 && errno == EINTR ? 1 : 0;
}

}  // namespace

extern "C" __attribute__((noinline)) void counted_burn(int64_t nanos) {
  targets::BurnCpuFor(nanos);
}

int main(int argc, char** argv) {
  const int rounds = static_cast<int>(targets::NumberArgument(argc, argv, 1, 300));
  targets::EndBySignalAfter(rounds * 0.02);
  struct sigaction action {};
  action.sa_handler = OnTick;
  action.sa_flags = SA_RESTART;
  sigaction(SIGUSR1, &action, nullptr);
  int pipes[2];
  if (pipe(pipes) != 0) {
    return 1;
  }
  targets::SayReady();
  int interrupted = 0;
  int bytes = 0;
  for (int round = 0; round < rounds; ++round) {
    counted_burn(5'000'000);
    interrupted += InterruptedSleep(5'000'000);
    char byte = 'x';
    bytes += static_cast<int>(write(pipes[1], &byte, 1));
    bytes += static_cast<int>(read(pipes[0], &byte, 1));
    raise(SIGUSR1);
  }
  std::printf("DONE rounds=%d bytes=%d ticks=%d interrupted=%d\n", rounds, bytes,
              static_cast<int>(ticks), interrupted);
  return 0;
}
