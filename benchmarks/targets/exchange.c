// A server whose requests exchange messages with backends, at a rate that stays the same whatever
// the machine does: so many requests a second, so much work and so many exchanges in each.
// Usage: exchange REQUESTS_A_SECOND EXCHANGES WORK_MICROSECONDS [CPU]
// Says READY PID. Each line on standard input that reads `run SECONDS` is answered by
// RESULT REQUESTS CPU_NANOSECONDS VOLUNTARY_SWITCHES OTHER_SWITCHES LATE_REQUESTS
//
// Each worker has three backends, which it reaches over a socket pair, over TCP and over a shared
// word with a condition variable. Requests take one of several ways down to the exchange, 20 to 40
// frames deep; some ways are equally long, so that their stacks differ in the callers only.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { kWorkers = 4, kWays = 12, kLevels = 4 };

typedef struct {
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  uint64_t asked;
  uint64_t answered;
} Board;

typedef struct {
  pthread_t thread;
  int pair[2];
  int tcp[2];
  Board board;
  int64_t requests;
  int64_t late;
} Worker;

typedef struct {
  Worker* worker;
  unsigned way;
  uint64_t word;
} Request;

static Worker workers[kWorkers];
static pthread_barrier_t begin;
static pthread_barrier_t finished;
static int64_t begin_nanos;
static int64_t end_nanos;
static double requests_a_second;
static int exchanges;
static int64_t steps_between_exchanges;

static int64_t Nanos(clockid_t clock) {
  struct timespec value;
  clock_gettime(clock, &value);
  return (int64_t)value.tv_sec * 1000000000 + value.tv_nsec;
}

__attribute__((noinline)) static uint64_t Work(uint64_t word, int64_t steps) {
  for (int64_t i = 0; i < steps; ++i) {
    word ^= word << 13;
    word ^= word >> 7;
    word ^= word << 17;
  }
  return word;
}

// ---- Exchanges ----------------------------------------------------------------------------------

__attribute__((noinline)) static void AskOver(int fd) {
  char message[64] = "ask";
  if (write(fd, message, sizeof(message)) != sizeof(message) ||
      read(fd, message, sizeof(message)) != sizeof(message)) {
    abort();
  }
}

__attribute__((noinline)) static void AskBoard(Board* board) {
  pthread_mutex_lock(&board->mutex);
  const uint64_t number = ++board->asked;
  pthread_cond_broadcast(&board->changed);
  while (board->answered < number) {
    pthread_cond_wait(&board->changed, &board->mutex);
  }
  pthread_mutex_unlock(&board->mutex);
}

static void* AnswerOver(void* fd) {
  char message[64];
  const int socket = (int)(intptr_t)fd;
  while (read(socket, message, sizeof(message)) == sizeof(message) &&
         write(socket, message, sizeof(message)) == sizeof(message)) {
  }
  return NULL;
}

static void* AnswerBoard(void* what) {
  Board* board = what;
  pthread_mutex_lock(&board->mutex);
  for (;;) {
    while (board->answered == board->asked) {
      pthread_cond_wait(&board->changed, &board->mutex);
    }
    board->answered = board->asked;
    pthread_cond_broadcast(&board->changed);
  }
  return NULL;
}

// ---- The ways of a request ----------------------------------------------------------------------

__attribute__((noinline)) static uint64_t Serve(Request* request) {
  Worker* worker = request->worker;
  uint64_t word = request->word;
  for (int i = 0; i < exchanges; ++i) {
    word = Work(word, steps_between_exchanges);
    if (i % 3 == 0) {
      AskOver(worker->pair[0]);
    } else if (i % 3 == 1) {
      AskOver(worker->tcp[0]);
    } else {
      AskBoard(&worker->board);
    }
  }
  return Work(word, steps_between_exchanges);
}

static uint64_t (*const levels[kLevels])(Request*, unsigned);

// Each is a function of its own; the work after the call keeps it from becoming a jump.
#define LEVEL(NAME, NUMBER)                                                         \
  __attribute__((noinline)) static uint64_t NAME(Request* request, unsigned left) { \
    if (left == 0) {                                                                \
      return Serve(request) + NUMBER;                                               \
    }                                                                               \
    const unsigned next = (request->way + left * (NUMBER + 1)) % kLevels;           \
    return levels[next](request, left - 1) ^ (left + NUMBER);                       \
  }
LEVEL(Route, 0)
LEVEL(Authorize, 1)
LEVEL(Render, 2)
LEVEL(Query, 3)
static uint64_t (*const levels[kLevels])(Request*, unsigned) = {Route, Authorize, Render, Query};

static void SleepUntil(int64_t when) {
  const struct timespec value = {.tv_sec = when / 1000000000, .tv_nsec = when % 1000000000};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &value, NULL);
}

static void* RunWorker(void* what) {
  Worker* worker = what;
  const int64_t number = worker - workers;
  const double interval = 1e9 * kWorkers / requests_a_second;
  uint64_t word = 88172645463325252U + (uint64_t)number;
  for (;;) {
    pthread_barrier_wait(&begin);
    worker->requests = 0;
    worker->late = 0;
    for (;;) {
      // The workers' turns lie evenly beside each other.
      const double place = (double)worker->requests + (double)number / kWorkers;
      const int64_t due = begin_nanos + (int64_t)(interval * place);
      if (due >= end_nanos) {
        break;
      }
      const int64_t now = Nanos(CLOCK_MONOTONIC);
      worker->late += now > due + (int64_t)interval;
      if (now < due) {
        SleepUntil(due);
      }
      const unsigned way = (unsigned)(worker->requests++ % kWays);
      Request request = {.worker = worker, .way = way, .word = word};
      // 16 to 34 levels; every length is that of two ways.
      word = levels[way % kLevels](&request, 16 + way / 2 * 3);
    }
    pthread_barrier_wait(&finished);
  }
  return NULL;
}

// ---- Setting up ---------------------------------------------------------------------------------

static void ConnectTcp(int ends[2]) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof(address);
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  const int one = 1;
  ends[0] = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(listener, (struct sockaddr*)&address, size) != 0 || listen(listener, 1) != 0 ||
      getsockname(listener, (struct sockaddr*)&address, &size) != 0 ||
      connect(ends[0], (struct sockaddr*)&address, size) != 0) {
    abort();
  }
  ends[1] = accept(listener, NULL, NULL);
  close(listener);
  for (int i = 0; i < 2; ++i) {
    setsockopt(ends[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  }
}

static void StartWorker(Worker* worker) {
  pthread_t backend;
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, worker->pair) != 0) {
    abort();
  }
  ConnectTcp(worker->tcp);
  pthread_mutex_init(&worker->board.mutex, NULL);
  pthread_cond_init(&worker->board.changed, NULL);
  pthread_create(&backend, NULL, AnswerOver, (void*)(intptr_t)worker->pair[1]);
  pthread_create(&backend, NULL, AnswerOver, (void*)(intptr_t)worker->tcp[1]);
  pthread_create(&backend, NULL, AnswerBoard, &worker->board);
  pthread_create(&worker->thread, NULL, RunWorker, worker);
}

// Once: the same number of steps in every run, however fast the machine happens to be then.
static double StepsInAMicrosecond(void) {
  const int64_t steps = 20000000;
  double best = 0;
  for (int i = 0; i < 5; ++i) {
    const int64_t before = Nanos(CLOCK_THREAD_CPUTIME_ID);
    volatile uint64_t word = Work(88172645463325252U, steps);
    (void)word;
    const double rate = 1e3 * (double)steps / (double)(Nanos(CLOCK_THREAD_CPUTIME_ID) - before);
    best = rate > best ? rate : best;
  }
  return best;
}

static void Run(double seconds) {
  struct rusage before;
  struct rusage after;
  getrusage(RUSAGE_SELF, &before);
  const int64_t cpu_before = Nanos(CLOCK_PROCESS_CPUTIME_ID);
  begin_nanos = Nanos(CLOCK_MONOTONIC) + 1000000;
  end_nanos = begin_nanos + (int64_t)(seconds * 1e9);
  pthread_barrier_wait(&begin);
  pthread_barrier_wait(&finished);
  const int64_t cpu = Nanos(CLOCK_PROCESS_CPUTIME_ID) - cpu_before;
  getrusage(RUSAGE_SELF, &after);
  int64_t requests = 0;
  int64_t late = 0;
  for (int i = 0; i < kWorkers; ++i) {
    requests += workers[i].requests;
    late += workers[i].late;
  }
  printf("RESULT %lld %lld %ld %ld %lld\n", (long long)requests, (long long)cpu,
         after.ru_nvcsw - before.ru_nvcsw, after.ru_nivcsw - before.ru_nivcsw, (long long)late);
  fflush(stdout);
}

int main(int argc, char** argv) {
  if (argc < 4) {
    return 2;
  }
  alarm(3600);
  requests_a_second = atof(argv[1]);
  exchanges = atoi(argv[2]);
  steps_between_exchanges = (int64_t)(atof(argv[3]) * StepsInAMicrosecond() / (exchanges + 1));
  if (argc > 4) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((size_t)atoi(argv[4]), &one);
    sched_setaffinity(0, sizeof(one), &one);
  }
  pthread_barrier_init(&begin, NULL, kWorkers + 1);
  pthread_barrier_init(&finished, NULL, kWorkers + 1);
  for (int i = 0; i < kWorkers; ++i) {
    StartWorker(&workers[i]);
  }
  printf("READY %d\n", (int)getpid());
  fflush(stdout);
  char line[64];
  double seconds = 0;
  while (fgets(line, sizeof(line), stdin) != NULL && sscanf(line, "run %lf", &seconds) == 1) {
    Run(seconds);
  }
  return 0;
}
