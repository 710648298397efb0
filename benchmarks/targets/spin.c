// Threads that burn at the bottom of a stack of a chosen depth.
// Usage: spin THREADS SECONDS [DEPTH]. Ends with: RESULT CPU_NANOSECONDS
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int64_t end_nanos;
static int depth = 30;

static int64_t Nanos(clockid_t clock) {
  struct timespec value;
  clock_gettime(clock, &value);
  return (int64_t)value.tv_sec * 1000000000 + value.tv_nsec;
}

__attribute__((noinline)) static uint64_t Mix(uint64_t word) {
  for (int i = 0; i < 20000; ++i) {
    word ^= word << 13;
    word ^= word >> 7;
    word ^= word << 17;
  }
  return word;
}

// The shift after the call keeps the compiler from turning recursion into a loop.
__attribute__((noinline)) static uint64_t GoDown(int left, uint64_t word) {
  if (left > 0) {
    word = GoDown(left - 1, word + (uint64_t)left);
    return word ^ (word >> 3);
  }
  while (Nanos(CLOCK_MONOTONIC) < end_nanos) {
    word = Mix(word);
  }
  return word;
}

static void* Spin(void* seed) {
  return (void*)(uintptr_t)GoDown(depth, (uint64_t)(uintptr_t)seed + 88172645463325252U);
}

int main(int argc, char** argv) {
  const int threads = argc > 1 ? atoi(argv[1]) : 2;
  const double seconds = argc > 2 ? atof(argv[2]) : 10;
  depth = argc > 3 ? atoi(argv[3]) : 30;
  alarm((unsigned)seconds + 60);
  end_nanos = Nanos(CLOCK_MONOTONIC) + (int64_t)(seconds * 1e9);
  pthread_t ids[64];
  for (int i = 0; i < threads && i < 64; ++i) {
    pthread_create(&ids[i], NULL, Spin, (void*)(uintptr_t)i);
  }
  printf("READY %d\n", (int)getpid());
  fflush(stdout);
  for (int i = 0; i < threads && i < 64; ++i) {
    pthread_join(ids[i], NULL);
  }
  printf("RESULT %lld\n", (long long)Nanos(CLOCK_PROCESS_CPUTIME_ID));
  return 0;
}
