// Exceptions in flight nearly all of the time, through a frame that has something to destroy.
#include "burn.h"

struct Guard {
  ~Guard() { sink = sink + 1; }
};

NOINLINE unsigned long leaf(unsigned long x) { throw x; }

NOINLINE unsigned long middle(unsigned long x) {
  Guard guard;
  return leaf(x) + 1;
}

NOINLINE unsigned long outer(unsigned long x) {
  try {
    return middle(x);
  } catch (unsigned long value) {
    return value + 1;
  }
}

int main() {
  Ready();
  for (;;) {
    sink = outer(sink);
  }
}
