/* The burn is in children that live for a second each; one is forked while the profile runs. */
#include <sys/wait.h>

#include "burn.h"

NOINLINE unsigned long leaf(unsigned long x) {
  BURN(x, kLong);
  return x;
}

NOINLINE unsigned long middle(unsigned long x) { return leaf(x) + 1; }
NOINLINE unsigned long outer(unsigned long x) { return middle(x) + 2; }

int main(void) {
  Ready();
  while (fork() != 0) {
    wait(NULL);
  }
  alarm(1);
  for (;;) {
    sink = outer(sink);
  }
}
