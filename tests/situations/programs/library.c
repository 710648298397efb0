/* The upper part of the chain, as a library. PREFIX##middle -> PREFIX##leaf. -DPAD moves what
 * follows. */
#include "burn.h"

#define JOINED(a, b) a##b
#define NAME(prefix, name) JOINED(prefix, name)

#ifdef PAD
NOINLINE unsigned long pad(unsigned long x) {
  BURN(x, kShort);
  for (unsigned long i = 0; i < 50; ++i) {
    sink = sink * 3 + i;
  }
  return x;
}
#endif

NOINLINE unsigned long NAME(PREFIX, leaf)(unsigned long x) {
  BURN(x, kLong);
  return x;
}

NOINLINE unsigned long NAME(PREFIX, middle)(unsigned long x) { return NAME(PREFIX, leaf)(x) + 1; }
