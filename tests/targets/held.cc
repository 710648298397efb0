// Threads that others stop, freeze or trace: one works, one sleeps over and over, one is blocked
// all the time, one waits where no signal reaches it, for a child that has its memory. Usage: held
// [SECONDS]. READY is followed by a line THREADS NAME=TID ...
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <atomic>
#include <csignal>
#include <cstddef>
#include <cstdio>

#include "target_support.h"

namespace {

std::atomic<bool> over = false;
int empty_pipe[2];

}  // namespace

extern "C" {

__attribute__((noinline)) void work_on_and_on() {
  while (!over) {
    targets::BurnCpuFor(1'000'000);
  }
}

__attribute__((noinline)) void sleep_on_and_on() {
  while (!over) {
    usleep(2'000);
  }
}

__attribute__((noinline)) void blocked_all_the_time() {
  char byte = 0;
  while (read(empty_pipe[0], &byte, 1) != 1) {
  }
}

// As vfork does it: the parent is in state D until the child has ended.
__attribute__((noinline)) void wait_for_borrower() {
  alignas(16) static std::byte stack[1 << 16];
  const auto borrow = [](void*) {
    usleep(200'000);
    return 0;
  };
  const pid_t child =
      clone(borrow, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, nullptr);
  waitpid(child, nullptr, 0);
}

}  // extern "C"

namespace {

struct Thread {
  const char* name;
  void (*body)();
  std::atomic<int> tid = 0;
  pthread_t handle = {};
};

Thread threads[] = {
    {"works", work_on_and_on},
    {"sleeps", sleep_on_and_on},
    {"blocked", blocked_all_the_time},
    {"lends",
     [] {
       while (!over) {
         wait_for_borrower();
       }
     }},
};

void* Begin(void* argument) {
  Thread& self = *static_cast<Thread*>(argument);
  pthread_setname_np(pthread_self(), self.name);
  self.tid = static_cast<int>(syscall(SYS_gettid));
  self.body();
  return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  const double seconds = targets::NumberArgument(argc, argv, 1, 30);
  targets::EndBySignalAfter(seconds);
  if (pipe(empty_pipe) != 0) {
    return 1;
  }
  for (Thread& thread : threads) {
    pthread_create(&thread.handle, nullptr, Begin, &thread);
  }
  targets::SayReady();
  std::printf("THREADS");
  for (const Thread& thread : threads) {
    while (thread.tid == 0) {
      usleep(1'000);
    }
    std::printf(" %s=%d", thread.name, thread.tid.load());
  }
  std::printf("\n");
  std::fflush(stdout);
  usleep(static_cast<useconds_t>(seconds * 1e6));
  over = true;
  const bool ok = write(empty_pipe[1], "x", 1) == 1;
  for (const Thread& thread : threads) {
    pthread_join(thread.handle, nullptr);
  }
  return ok ? 0 : 1;
}
