// Threads whose names hold everything that a format could trip over, each burning alike.
// Usage: weird_names [SECONDS]. Tests also copy the program to a path of the same kind.
#include <pthread.h>
#include <sys/prctl.h>

#include <cstdio>

#include "target_support.h"

namespace {

// The kernel keeps 15 bytes of a name.
constexpr const char* kNames[] = {"sp ace",
                                  "\"quo'te\\",
                                  "semi;colon",
                                  "new\nline",
                                  "<script>&",
                                  "\xff\xfe\xc3(",
                                  "tab\there",
                                  "\x1b[31mred",
                                  "ends 12 34",
                                  "[truncated: x]",
                                  "\xe2\x82\xac\xe2\x82\xac"};
constexpr int kCount = sizeof(kNames) / sizeof(kNames[0]);
int64_t end_of_all = 0;

}  // namespace

extern "C" __attribute__((noinline)) void weird_burn(int64_t nanos) { targets::BurnCpuFor(nanos); }

extern "C" void* weird_thread(void* name) {
  prctl(PR_SET_NAME, static_cast<const char*>(name));
  while (targets::WallNanos() < end_of_all) {
    weird_burn(1'000'000);
    usleep(8'000);
  }
  return nullptr;
}

int main(int argc, char** argv) {
  const double seconds = targets::NumberArgument(argc, argv, 1, 30);
  targets::EndBySignalAfter(seconds);
  end_of_all = targets::WallNanos() + targets::SecondsToNanos(seconds);
  pthread_t threads[kCount];
  for (int i = 0; i < kCount; ++i) {
    pthread_create(&threads[i], nullptr, weird_thread, const_cast<char*>(kNames[i]));
  }
  targets::SayReady();
  for (pthread_t thread : threads) {
    pthread_join(thread, nullptr);
  }
  std::printf("DONE\n");
  return 0;
}
