// A std::thread: its start is in libstdc++.
#include <thread>

#include "burn.h"

NOINLINE unsigned long leaf(unsigned long x) {
  BURN(x, kLong);
  return x;
}

NOINLINE unsigned long middle(unsigned long x) { return leaf(x) + 1; }

NOINLINE void outer(unsigned long x) {
  for (;;) {
    sink = middle(x);
  }
}

int main() {
  Ready();
  std::thread thread(outer, sink);
  thread.join();
}
