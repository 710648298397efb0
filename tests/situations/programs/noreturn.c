/* The last instruction of outer is a call to middle, which never returns: the return address
   belongs to the function behind outer. */
#include "burn.h"

__attribute__((noreturn)) NOINLINE void middle(unsigned long x);

NOINLINE unsigned long leaf(unsigned long x) {
  BURN(x, kLong);
  return x;
}

__attribute__((noreturn)) NOINLINE void outer(unsigned long x) {
  sink = x;
  middle(x + 1);
}

/* Has a frame of another shape than outer. */
NOINLINE unsigned long behind_outer(unsigned long x) {
  volatile unsigned long words[40];
  words[x % 40] = x;
  return leaf(words[0]) + words[39];
}

void middle(unsigned long x) {
  for (;;) {
    x = leaf(x) + 1;
    sink = x;
  }
}

int main(void) {
  Ready();
  if (sink == 0) {
    return (int)behind_outer(sink);
  }
  outer(sink);
}
