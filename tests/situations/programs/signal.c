/* A handler that interrupted leaf at some instruction and does not return. -DALTERNATE: on its own
 * stack. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "burn.h"

NOINLINE unsigned long handler_leaf(unsigned long x) {
  BURN(x, kLong);
  return x;
}

static void handler(int number) {
  (void)number;
  Ready();
  for (;;) {
    sink = handler_leaf(sink);
  }
}

NOINLINE unsigned long leaf(unsigned long x) {
  BURN(x, 1ul << 60);
  return x;
}

NOINLINE unsigned long middle(unsigned long x) { return leaf(x) + 1; }
NOINLINE unsigned long outer(unsigned long x) { return middle(x) + 2; }

int main(void) {
  struct sigaction action;
  memset(&action, 0, sizeof(action));
  action.sa_handler = handler;
#ifdef ALTERNATE
  stack_t stack;
  memset(&stack, 0, sizeof(stack));
  stack.ss_size = 1 << 16;
  stack.ss_sp = malloc(stack.ss_size);
  sigaltstack(&stack, NULL);
  action.sa_flags = SA_ONSTACK;
#endif
  sigaction(SIGVTALRM, &action, NULL);
  const struct itimerval soon = {{0, 0}, {0, 20000}};
  setitimer(ITIMER_VIRTUAL, &soon, NULL);
  return (int)outer(sink);
}
