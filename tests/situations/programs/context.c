/* A context of its own: its stack has its own root, nobody's main. */
#include <stdlib.h>
#include <ucontext.h>

#include "burn.h"

static ucontext_t main_context, own_context;

NOINLINE unsigned long leaf(unsigned long x) {
  BURN(x, kLong);
  return x;
}

NOINLINE unsigned long middle(unsigned long x) { return leaf(x) + 1; }

static void outer(void) {
  for (;;) {
    sink = middle(sink);
    swapcontext(&own_context, &main_context);
  }
}

int main(void) {
  getcontext(&own_context);
  own_context.uc_stack.ss_size = 1 << 16;
  own_context.uc_stack.ss_sp = malloc(own_context.uc_stack.ss_size);
  own_context.uc_link = NULL;
  makecontext(&own_context, outer, 0);
  Ready();
  for (;;) {
    swapcontext(&main_context, &own_context);
  }
}
