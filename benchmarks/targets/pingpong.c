// Two threads pass one byte back and forth over pipes on one CPU: as many context switches a second
// as the machine can do. Prints the CPU time that a round trip takes, in microseconds, which is
// steady where throughput is not. Usage: pingpong ROUND_TRIPS [CPU]
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static long round_trips;
static int there[2];
static int back[2];

static void Pass(int from, int to, int starts) {
  char byte = 0;
  for (long i = 0; i < round_trips; ++i) {
    if (starts && write(to, &byte, 1) != 1) {
      abort();
    }
    if (read(from, &byte, 1) != 1) {
      abort();
    }
    if (!starts && write(to, &byte, 1) != 1) {
      abort();
    }
  }
}

static void* Answer(void* unused) {
  Pass(there[0], back[1], /*starts=*/0);
  return unused;
}

static double CpuSeconds(void) {
  struct timespec used;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

int main(int argc, char** argv) {
  round_trips = argc > 1 ? atol(argv[1]) : 1000000;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(argc > 2 ? atoi(argv[2]) : 0, &one);
  pthread_t answering;
  if (sched_setaffinity(0, sizeof(one), &one) != 0 || pipe(there) != 0 || pipe(back) != 0) {
    perror("pingpong");
    return 1;
  }
  const double before = CpuSeconds();
  if (pthread_create(&answering, NULL, Answer, NULL) != 0) {
    return 1;
  }
  Pass(back[0], there[1], /*starts=*/1);
  pthread_join(answering, NULL);
  printf("%.4f\n", (CpuSeconds() - before) * 1e6 / (double)round_trips);
  return 0;
}
