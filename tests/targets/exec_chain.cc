// Replaces itself by exec twice while it runs; each life burns in a function of its own.
// Usage: exec_chain [SECONDS_PER_LIFE]. The process ID stays, the address space does not.
#include <cstdio>
#include <cstring>

#include "target_support.h"

#define WHYSLOW_LIFE(number)                                                  \
  extern "C" __attribute__((noinline)) void exec_life_##number(int64_t end) { \
    targets::sink ^= number;                                                  \
    while (targets::WallNanos() < end) {                                      \
      targets::BurnCpuFor(1'000'000);                                         \
    }                                                                         \
  }
WHYSLOW_LIFE(1)
WHYSLOW_LIFE(2)
WHYSLOW_LIFE(3)

int main(int argc, char** argv) {
  const double seconds = targets::NumberArgument(argc, argv, 1, 2);
  const char* life = argc > 2 ? argv[2] : "1";
  targets::EndBySignalAfter(seconds);
  if (std::strcmp(life, "1") == 0) {
    targets::SayReady();
  }
  const int64_t end = targets::WallNanos() + targets::SecondsToNanos(seconds);
  const char* next = nullptr;
  if (std::strcmp(life, "1") == 0) {
    exec_life_1(end);
    next = "2";
  } else if (std::strcmp(life, "2") == 0) {
    exec_life_2(end);
    next = "3";
  } else {
    exec_life_3(end);
    std::printf("DONE\n");
    return 0;
  }
  char length[32];
  std::snprintf(length, sizeof(length), "%.3f", seconds);
  execl("/proc/self/exe", argv[0], length, next, static_cast<char*>(nullptr));
  std::perror("execl");
  return 1;
}
