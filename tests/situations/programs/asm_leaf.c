#include "burn.h"

unsigned long leaf(unsigned long x);

NOINLINE unsigned long middle(unsigned long x) { return leaf(x) + 1; }
NOINLINE unsigned long outer(unsigned long x) { return middle(x) + 2; }

int main(void) {
  Ready();
  for (;;) {
    sink = outer(sink);
  }
}
