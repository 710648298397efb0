// leaf has the burn inlined from a header, through a template's member.
#include "inlined.h"

NOINLINE unsigned long leaf(unsigned long x) {
  Cart<unsigned long> cart{x};
  return cart.Add(x + 1) + 1;  // [leaf]
}

static ALWAYS_INLINE unsigned long Middle(unsigned long x) {
  return leaf(x) + 1;  // [middle]
}

NOINLINE unsigned long outer(unsigned long x) {
  return Middle(x) + 2;  // [outer]
}

int main() {
  Ready();
  for (;;) {
    sink = outer(sink);  // [main]
  }
}
