/* Frames that are realigned and of unknown size: GCC keeps the caller's stack pointer in r10 and
 * saves it. */
#include <alloca.h>
#include <string.h>

#include "burn.h"

NOINLINE unsigned long leaf(unsigned long* words) {
  unsigned long x = words[0];
  BURN(x, kLong);
  return x;
}

NOINLINE unsigned long middle(unsigned long a, unsigned long b, unsigned long c, unsigned long d,
                              unsigned long e, unsigned long f, unsigned long on_stack) {
  unsigned long words[16] __attribute__((aligned(64)));
  char* bytes = alloca(a % 100 + 1);
  memset(bytes, 7, a % 100 + 1);
  for (int i = 0; i < 16; ++i) {
    words[i] = a + b + c + d + e + f + on_stack + (unsigned long)bytes[0];
  }
  return leaf(words) + words[a % 16] + on_stack;
}

NOINLINE unsigned long outer(unsigned long x) {
  unsigned long words[16] __attribute__((aligned(128)));
  memset(words, 0, sizeof(words));
  words[x % 16] = middle(x, 1, 2, 3, 4, 5, x);
  return words[0] + words[1] + words[x % 16];
}

int main(void) {
  Ready();
  for (;;) {
    sink = outer(sink);
  }
}
