/* The plainest chain; most situations are ways to compile and link it. */
#include "burn.h"

NOINLINE unsigned long leaf(unsigned long x) {
  BURN(x, kLong); /* [leaf] */
  return x;
}

NOINLINE unsigned long middle(unsigned long x) { return leaf(x) + 1; /* [middle] */ }

NOINLINE unsigned long outer(unsigned long x) { return middle(x) + 2; /* [outer] */ }

int main(void) {
  Ready();
  for (;;) {
    sink = outer(sink); /* [main] */
  }
}
