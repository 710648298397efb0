// Spends most of its CPU time inside the kernel, copying zeroes.
// Usage: kernel_heavy [SECONDS]
#include <fcntl.h>

#include <cstdio>

#include "target_support.h"

// The addition keeps the call from becoming a jump, which would leave no frame of ours.
extern "C" __attribute__((noinline)) int64_t read_zeroes(int fd, char* room, size_t size) {
  return read(fd, room, size) + room[0];
}

int main(int argc, char** argv) {
  const double seconds = targets::NumberArgument(argc, argv, 1, 30);
  targets::EndBySignalAfter(seconds);
  const int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
  static char room[1 << 20];
  targets::SayReady();
  const int64_t end = targets::WallNanos() + targets::SecondsToNanos(seconds);
  int64_t bytes = 0;
  while (zero >= 0 && targets::WallNanos() < end) {
    bytes += read_zeroes(zero, room, sizeof(room));
  }
  std::printf("DONE %lld\n", static_cast<long long>(bytes));
  return 0;
}
