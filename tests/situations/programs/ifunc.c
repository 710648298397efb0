/* leaf is chosen when the program starts; its resolver returns leaf_fast. */
#include "burn.h"

static __attribute__((used, noinline)) unsigned long leaf_fast(unsigned long x) {
  BURN(x, kLong);
  return x;
}

static void* resolve_leaf(void) { return (void*)leaf_fast; }

unsigned long leaf(unsigned long x) __attribute__((ifunc("resolve_leaf")));

NOINLINE unsigned long middle(unsigned long x) { return leaf(x) + 1; }
NOINLINE unsigned long outer(unsigned long x) { return middle(x) + 2; }

int main(void) {
  Ready();
  for (;;) {
    sink = outer(sink);
  }
}
