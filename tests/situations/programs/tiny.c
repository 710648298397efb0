/* Functions of a few instructions: many samples fall into prologues and epilogues. */
#include "burn.h"

NOINLINE unsigned long leaf(unsigned long x) { return x * 3 + 1; }

NOINLINE unsigned long middle(unsigned long x, unsigned long y) {
  const unsigned long a = leaf(x);
  const unsigned long b = leaf(y + a);
  return a * b + leaf(a) + x;
}

NOINLINE unsigned long outer(unsigned long x) {
  for (unsigned long i = 0; i < kLong; ++i) {
    x += middle(x, i);
  }
  return x;
}

int main(void) {
  Ready();
  for (;;) {
    sink = outer(sink);
  }
}
