/* The burn is in a child forked while the profile runs. */
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
  usleep(900000);
  if (fork() != 0) {
    wait(NULL);
    return 0;
  }
  alarm(10);
  for (;;) {
    sink = outer(sink);
  }
}
