// Burns and then ends, without warning, while it is being profiled.
// Usage: dies_midway [SECONDS] [exit|abort|kill]
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "target_support.h"

extern "C" __attribute__((noinline)) void last_breath(int64_t end) {
  while (targets::WallNanos() < end) {
    targets::BurnCpuFor(1'000'000);
  }
}

int main(int argc, char** argv) {
  const double seconds = targets::NumberArgument(argc, argv, 1, 2);
  const char* way = argc > 2 ? argv[2] : "exit";
  targets::EndBySignalAfter(seconds);
  targets::SayReady();
  last_breath(targets::WallNanos() + targets::SecondsToNanos(seconds));
  if (std::strcmp(way, "abort") == 0) {
    std::signal(SIGABRT, SIG_DFL);
    std::abort();
  }
  if (std::strcmp(way, "kill") == 0) {
    kill(getpid(), SIGKILL);
  }
  _exit(3);
}
