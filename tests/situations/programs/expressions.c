/* main's frame hangs on rbp, which every function of expressions.S treats in another way. */
#include <alloca.h>
#include <string.h>

#include "burn.h"

unsigned long outer(unsigned long x);

NOINLINE unsigned long leaf(unsigned long x) {
  BURN(x, kLong);
  return x;
}

int main(void) {
  Ready();
  char* bytes = alloca(sink % 100 + 10);
  for (;;) {
    memset(bytes, 1, sink % 10);
    sink = outer(sink) + (unsigned long)bytes[0];
  }
}
