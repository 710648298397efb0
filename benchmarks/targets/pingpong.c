// Two threads pass one byte to and fro over pipes on one CPU: as many context switches as a machine
// can do. Usage: pingpong SECONDS [CPU]. Says READY, begins when a line comes on standard input,
// ends with: RESULT ROUNDS CPU_NANOSECONDS VOLUNTARY_SWITCHES
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static int there[2];
static int back[2];

static int64_t Nanos(clockid_t clock) {
  struct timespec value;
  clock_gettime(clock, &value);
  return (int64_t)value.tv_sec * 1000000000 + value.tv_nsec;
}

static void* Echo(void* unused) {
  char byte;
  while (read(there[0], &byte, 1) == 1 && write(back[1], &byte, 1) == 1) {
  }
  return unused;
}

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? atof(argv[1]) : 2;
  alarm((unsigned)seconds + 60);
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET((size_t)(argc > 2 ? atoi(argv[2]) : 0), &one);
  sched_setaffinity(0, sizeof(one), &one);
  pthread_t echo;
  if (pipe(there) != 0 || pipe(back) != 0 || pthread_create(&echo, NULL, Echo, NULL) != 0) {
    return 1;
  }
  printf("READY %d\n", (int)getpid());
  fflush(stdout);
  char line[16];
  if (fgets(line, sizeof(line), stdin) == NULL) {
    return 1;
  }

  struct rusage before;
  struct rusage after;
  getrusage(RUSAGE_SELF, &before);
  const int64_t cpu_before = Nanos(CLOCK_PROCESS_CPUTIME_ID);
  const int64_t end = Nanos(CLOCK_MONOTONIC) + (int64_t)(seconds * 1e9);
  int64_t rounds = 0;
  char byte = 'x';
  do {
    for (int i = 0; i < 64; ++i) {
      if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1) {
        return 1;
      }
    }
    rounds += 64;
  } while (Nanos(CLOCK_MONOTONIC) < end);
  const int64_t cpu = Nanos(CLOCK_PROCESS_CPUTIME_ID) - cpu_before;
  close(there[1]);
  pthread_join(echo, NULL);
  getrusage(RUSAGE_SELF, &after);
  printf("RESULT %lld %lld %ld\n", (long long)rounds, (long long)cpu,
         after.ru_nvcsw - before.ru_nvcsw);
  return 0;
}
