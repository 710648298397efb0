/* The burn is in a thread; its stack ends at the thread's start. */
#include <pthread.h>

#include "burn.h"

NOINLINE unsigned long leaf(unsigned long x) {
  BURN(x, kLong);
  return x;
}

NOINLINE unsigned long middle(unsigned long x) { return leaf(x) + 1; }

static void* outer(void* nothing) {
  for (;;) {
    sink = middle(sink);
  }
  return nothing;
}

int main(void) {
  pthread_t thread;
  Ready();
  pthread_create(&thread, NULL, outer, NULL);
  pthread_join(thread, NULL);
  return 0;
}
