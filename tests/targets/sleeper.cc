// Uses no CPU time at all: one thread sleeps, one waits for a lock, one reads an empty pipe.
// Usage: sleeper [SECONDS]
#include <pthread.h>

#include <cstdio>

#include "target_support.h"

namespace {

pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
int empty_pipe[2];

void* WaitForLock(void*) {
  pthread_mutex_lock(&held);
  pthread_mutex_unlock(&held);
  return nullptr;
}

void* ReadPipe(void*) {
  char byte = 0;
  return read(empty_pipe[0], &byte, 1) == 1 ? nullptr : &held;
}

}  // namespace

int main(int argc, char** argv) {
  const double seconds = targets::NumberArgument(argc, argv, 1, 30);
  targets::EndBySignalAfter(seconds);
  if (pipe(empty_pipe) != 0) {
    return 1;
  }
  pthread_mutex_lock(&held);
  pthread_t threads[2];
  pthread_create(&threads[0], nullptr, WaitForLock, nullptr);
  pthread_create(&threads[1], nullptr, ReadPipe, nullptr);
  targets::SayReady();
  usleep(static_cast<useconds_t>(seconds * 1e6));
  pthread_mutex_unlock(&held);
  const bool ok = write(empty_pipe[1], "x", 1) == 1;
  for (pthread_t thread : threads) {
    pthread_join(thread, nullptr);
  }
  std::printf("DONE\n");
  return ok ? 0 : 1;
}
