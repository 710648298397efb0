/* 5,000 frames of recursion; with -DLARGE a few frames of 300 KB each. */
#include <string.h>

#include "burn.h"

#ifdef LARGE
enum { kDepth = 3, kBytes = 300000 };
#else
enum { kDepth = 5000, kBytes = 8 };
#endif

NOINLINE unsigned long leaf(unsigned long x) {
  BURN(x, 10ul * kLong);
  return x;
}

NOINLINE unsigned long recurse(unsigned long depth, unsigned long x) {
  volatile unsigned char bytes[kBytes];
  bytes[0] = (unsigned char)x;
  bytes[kBytes - 1] = (unsigned char)depth;
  if (depth == 1) {
    return leaf(x) + bytes[0];
  }
  return recurse(depth - 1, x + 1) * 2 + bytes[kBytes - 1];
}

int main(void) {
  Ready();
  for (;;) {
    sink = recurse(kDepth, sink);
  }
}
