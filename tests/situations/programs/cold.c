/* The call chain runs through the part of outer that the compiler moved far away, to outer.cold. */
#include <stdio.h>

#include "burn.h"

volatile int rare = 1;

NOINLINE unsigned long leaf(unsigned long x) {
  BURN(x, kLong);
  return x;
}

__attribute__((cold)) NOINLINE unsigned long middle(unsigned long x) { return leaf(x) + 1; }

NOINLINE unsigned long outer(unsigned long x) {
  unsigned long words[20];
  for (unsigned long i = 0; i < 20; ++i) {
    words[i] = x + i;
  }
  if (__builtin_expect(rare, 0)) {
    words[x % 20] += middle(words[(x + 1) % 20]);
  }
  return words[3] + words[x % 20];
}

int main(void) {
  Ready();
  for (;;) {
    sink = outer(sink);
  }
}
