// Recursion of a chosen depth and frame size, burning at the bottom; `wide` frames make the stack
// larger than what one sample can copy.
// Usage: deep_stacks [SECONDS] [DEPTH] [small|wide]
#include <cstdio>
#include <cstring>

#include "target_support.h"

extern "C" __attribute__((noinline)) void deepest_burn(int64_t end) {
  while (targets::WallNanos() < end) {
    targets::BurnCpuFor(1'000'000);
  }
}

namespace {

// The mixing after the call keeps the compiler from turning recursion into a loop.
__attribute__((noinline)) uint64_t GoDown(int depth, int64_t end) {
  if (depth == 0) {
    deepest_burn(end);
    return 1;
  }
  return targets::Mix(GoDown(depth - 1, end) + static_cast<uint64_t>(depth));
}

__attribute__((noinline)) uint64_t GoDownWide(int depth, int64_t end) {
  volatile char room[1024];
  room[depth % 1024] = static_cast<char>(depth);
  if (depth == 0) {
    deepest_burn(end);
    return 1;
  }
  return GoDownWide(depth - 1, end) * 3 + static_cast<uint64_t>(room[depth % 1024]);
}

}  // namespace

int main(int argc, char** argv) {
  const double seconds = targets::NumberArgument(argc, argv, 1, 30);
  const int depth = static_cast<int>(targets::NumberArgument(argc, argv, 2, 200));
  const bool wide = argc > 3 && std::strcmp(argv[3], "wide") == 0;
  targets::EndBySignalAfter(seconds);
  targets::SayReady();
  const int64_t end = targets::WallNanos() + targets::SecondsToNanos(seconds);
  const uint64_t result = wide ? GoDownWide(depth, end) : GoDown(depth, end);
  std::printf("DONE %llu\n", static_cast<unsigned long long>(result));
  return 0;
}
