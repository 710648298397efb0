#include "tests/programs/symbols/shop.h"

__attribute__((noinline)) int Elsewhere(int x) {
  sink = sink ^ x;  // [elsewhere]
  return FromHeader(x) + 2;
}
