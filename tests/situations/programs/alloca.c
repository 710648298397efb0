/* Frames whose size only the run knows: alloca in middle, a variable length array in outer. */
#include <alloca.h>
#include <string.h>

#include "burn.h"

NOINLINE unsigned long leaf(unsigned char* bytes, unsigned long size) {
  unsigned long x = size;
  BURN(x, kLong);
  bytes[x % size] = 1;
  return x;
}

NOINLINE unsigned long middle(unsigned long x) {
  const unsigned long size = x % 1000 + 64;
  unsigned char* bytes = alloca(size);
  memset(bytes, 1, size);
  return leaf(bytes, size) + bytes[x % size];
}

NOINLINE unsigned long outer(unsigned long x) {
  const unsigned long count = x % 100 + 8;
  unsigned long words[count];
  memset(words, 1, sizeof(words));
  words[x % count] = middle(x);
  return words[0] + words[count - 1];
}

int main(void) {
  Ready();
  for (;;) {
    sink = outer(sink);
  }
}
