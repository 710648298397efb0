/* outer's last act is to jump to leaf: while leaf runs, outer is on no stack. */
#include "burn.h"

NOINLINE unsigned long leaf(unsigned long x) {
  BURN(x, kLong);
  return x;
}

NOINLINE unsigned long jumps(unsigned long x) {
  sink = x;
  return leaf(x + 1);
}

NOINLINE unsigned long outer(unsigned long x) { return jumps(x) + 2; }

int main(void) {
  Ready();
  for (;;) {
    sink = outer(sink);
  }
}
