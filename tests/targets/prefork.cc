// A master with workers forked before it says READY, each burning in a function of its own; with a
// third argument the master also forks short-lived children while it runs.
// Usage: prefork [SECONDS] [WORKERS 1..4] [LATE_CHILDREN_PER_SECOND]
#include <sys/prctl.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdio>

#include "target_support.h"

#define WHYSLOW_WORKER(number)                                                     \
  extern "C" __attribute__((noinline)) void prefork_worker_##number(int64_t end) { \
    targets::sink ^= number;                                                       \
    while (targets::WallNanos() < end) {                                           \
      targets::BurnCpuFor(1'000'000);                                              \
    }                                                                              \
  }
WHYSLOW_WORKER(0)
WHYSLOW_WORKER(1)
WHYSLOW_WORKER(2)
WHYSLOW_WORKER(3)

extern "C" __attribute__((noinline)) void late_child_burn(int64_t nanos) {
  targets::BurnCpuFor(nanos);
}
extern "C" __attribute__((noinline)) void late_grandchild_burn(int64_t nanos) {
  targets::sink ^= 7;
  targets::BurnCpuFor(nanos);
}

namespace {

constexpr void (*kWorkers[])(int64_t) = {prefork_worker_0, prefork_worker_1, prefork_worker_2,
                                         prefork_worker_3};

void ForkWorker(int number, int64_t end) {
  if (fork() == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    kWorkers[number](end);
    _exit(0);
  }
}

// 20 ms in the child, then 20 ms in a child of the child.
void ForkLateChild() {
  const pid_t child = fork();
  if (child != 0) {
    return;
  }
  late_child_burn(20'000'000);
  const pid_t grandchild = fork();
  if (grandchild == 0) {
    late_grandchild_burn(20'000'000);
    _exit(0);
  }
  waitpid(grandchild, nullptr, 0);
  _exit(0);
}

void ReapThoseThatEnded() {
  while (waitpid(-1, nullptr, WNOHANG) > 0) {
  }
}

}  // namespace

int main(int argc, char** argv) {
  const double seconds = targets::NumberArgument(argc, argv, 1, 30);
  const int workers = static_cast<int>(targets::NumberArgument(argc, argv, 2, 2));
  const double late_rate = targets::NumberArgument(argc, argv, 3, 0);
  targets::EndBySignalAfter(seconds);
  const int64_t end = targets::WallNanos() + targets::SecondsToNanos(seconds);
  for (int number = 0; number < workers && number < 4; ++number) {
    ForkWorker(number, end);
  }
  targets::SayReady();
  const auto pause = static_cast<useconds_t>(late_rate > 0 ? 1e6 / late_rate : 100'000);
  while (targets::WallNanos() < end) {
    usleep(pause);
    if (late_rate > 0) {
      ForkLateChild();
    }
    ReapThoseThatEnded();
  }
  while (wait(nullptr) > 0) {
  }
  std::printf("DONE\n");
  return 0;
}
