// Threads that wait in steady ways, each in functions of its own, so that two profiles of it made
// at the same time can be compared.
// Usage: steady_waits [SECONDS]
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>

#include <cstdio>

#include "target_support.h"

namespace {

int pipe_ends[2];
int socket_ends[2];
pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;

void Sleep(int64_t microseconds) {
  const timespec span = {.tv_sec = 0, .tv_nsec = microseconds * 1'000};
  nanosleep(&span, nullptr);
}

}  // namespace

// Not folded into their callers: they have to be on the stack.
extern "C" {

__attribute__((noinline)) void shared_sleep(int64_t microseconds) {
  Sleep(microseconds);
  asm volatile("");
}

__attribute__((noinline)) void short_sleep() {
  shared_sleep(2'000);
  asm volatile("");
}

__attribute__((noinline)) void long_sleep() {
  shared_sleep(15'000);
  asm volatile("");
}

__attribute__((noinline)) bool read_from_pipe() {
  char byte = 0;
  const bool ok = read(pipe_ends[0], &byte, 1) == 1;
  asm volatile("");
  return ok;
}

__attribute__((noinline)) bool receive_from_socket() {
  char byte = 0;
  const bool ok = recv(socket_ends[0], &byte, 1, 0) == 1;
  asm volatile("");
  return ok;
}

__attribute__((noinline)) void wait_for_lock() {
  pthread_mutex_lock(&held);
  pthread_mutex_unlock(&held);
  asm volatile("");
}
}

namespace {

void* TwoCallers(void*) {
  for (;;) {
    short_sleep();
    long_sleep();
  }
}

void* PipeReader(void*) {
  while (read_from_pipe()) {
  }
  return nullptr;
}

void* Receiver(void*) {
  while (receive_from_socket()) {
  }
  return nullptr;
}

void* Locked(void*) {
  wait_for_lock();
  return nullptr;
}

void* HalfBusy(void*) {
  for (;;) {
    targets::BurnCpuFor(3'000'000);
    shared_sleep(3'000);
  }
}

void Start(const char* name, void* (*run)(void*)) {
  pthread_t thread{};
  pthread_create(&thread, nullptr, run, nullptr);
  pthread_setname_np(thread, name);
}

}  // namespace

int main(int argc, char** argv) {
  const double seconds = targets::NumberArgument(argc, argv, 1, 30);
  targets::EndBySignalAfter(seconds);
  if (pipe(pipe_ends) != 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, socket_ends) != 0) {
    return 1;
  }
  pthread_mutex_lock(&held);
  Start("two_callers", TwoCallers);
  Start("pipe_reader", PipeReader);
  Start("receiver", Receiver);
  Start("locked", Locked);
  Start("half_busy", HalfBusy);
  targets::SayReady();
  const int64_t end = targets::WallNanos() + targets::SecondsToNanos(seconds);
  while (targets::WallNanos() < end) {
    Sleep(5'000);
    if (write(pipe_ends[1], "x", 1) != 1 || send(socket_ends[1], "x", 1, 0) != 1) {
      return 1;
    }
  }
  std::printf("DONE\n");
  return 0;
}
