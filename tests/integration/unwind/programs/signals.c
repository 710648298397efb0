// Signal handlers on the thread's own stack and on an alternate one, nested, over a leaf and over a
// system call.
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))

volatile uint64_t sink;

NOINLINE uint64_t leaf(uint64_t x) { return x * 3 + 1; }

static void second(int number) { sink += leaf((uint64_t)number); }

static void first(int number) {
  sink += leaf((uint64_t)number);
  raise(SIGUSR2);
  sink += leaf(1);
}

NOINLINE uint64_t work(uint64_t x) {
  char buffer[200];
  memset(buffer, (int)x, sizeof(buffer));
  raise(SIGUSR1);
  return leaf((uint64_t)buffer[x % 200]);
}

// The trap comes between two instructions of a leaf that has no frame.
NOINLINE uint64_t trapped_leaf(uint64_t x) {
#if defined(__x86_64__)
  __asm__ volatile("int3" : "+r"(x));
#endif
  return x + 1;
}

static void install(int number, void (*handler)(int), int flags) {
  struct sigaction action;
  memset(&action, 0, sizeof(action));
  action.sa_handler = handler;
  action.sa_flags = flags;
  sigaction(number, &action, NULL);
}

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? atoi(argv[1]) : 1;
  stack_t stack;
  memset(&stack, 0, sizeof(stack));
  stack.ss_size = 65536;
  stack.ss_sp = malloc(stack.ss_size);
  sigaltstack(&stack, NULL);
  raise(SIGSTOP);
  for (int round = 0; round < rounds; ++round) {
    install(SIGUSR1, first, 0);
    install(SIGUSR2, second, 0);
    sink += work((uint64_t)round);
    // After work(): a step over code that blocks SIGTRAP makes the kernel forget its handler.
    install(SIGTRAP, second, 0);
    sink += trapped_leaf(sink);
    install(SIGUSR1, first, SA_ONSTACK);
    install(SIGUSR2, second, SA_ONSTACK);
    sink += work((uint64_t)round);
  }
  return 0;
}
