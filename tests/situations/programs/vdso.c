/* The clock, asked without end: through the library into the kernel's code in user space. */
#include <time.h>

#include "burn.h"

NOINLINE unsigned long leaf(unsigned long x) {
  for (unsigned long i = 0; i < kLong; ++i) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    x += (unsigned long)now.tv_nsec;
  }
  return x;
}

NOINLINE unsigned long middle(unsigned long x) { return leaf(x) + 1; }
NOINLINE unsigned long outer(unsigned long x) { return middle(x) + 2; }

int main(void) {
  Ready();
  for (;;) {
    sink = outer(sink);
  }
}
