/* Nearly all the time goes to calling a function of a library that does nothing: through the PLT.
 */
#include "burn.h"

unsigned long tiny(unsigned long x);

NOINLINE unsigned long outer(unsigned long x) {
  for (unsigned long i = 0; i < kLong; ++i) {
    x += tiny(i);
  }
  return x;
}

int main(void) {
  Ready();
  for (;;) {
    sink = outer(sink);
  }
}
