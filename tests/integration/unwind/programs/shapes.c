// Functions of many frame shapes, for tests that step through every instruction of them.
#include <alloca.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))

volatile uint64_t sink;

NOINLINE uint64_t leaf(uint64_t x) { return x * 3 + 1; }

NOINLINE uint64_t many_registers(uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
  uint64_t e = leaf(a), f = leaf(b), g = leaf(c), h = leaf(d);
  for (int i = 0; i < 3; ++i) {
    e += leaf(f);
    f ^= leaf(g);
    g += leaf(h);
    h -= leaf(e) + a * b + c * d;
  }
  return e + f + g + h;
}

NOINLINE uint64_t with_alloca(size_t n) {
  char* bytes = alloca(n + 16);
  memset(bytes, (int)n, n + 16);
  return leaf((uint64_t)bytes[n / 2]) + many_registers(n, 2, 3, 4);
}

NOINLINE uint64_t realigned(size_t n) {
  uint64_t big[16] __attribute__((aligned(64)));
  char* bytes = alloca(n + 1);
  for (size_t i = 0; i < 16; ++i) {
    big[i] = leaf(i + n);
  }
  memset(bytes, 7, n + 1);
  sink += (uint64_t)bytes[n];
  return big[n % 16] + with_alloca(n);
}

NOINLINE uint64_t large_frame(uint64_t x) {
  volatile char page[5000];
  page[x % sizeof(page)] = (char)x;
  page[4999] = 1;
  return leaf(x) + (uint64_t)page[4999];
}

NOINLINE uint64_t recurse(unsigned depth, uint64_t x) {
  if (depth == 0) {
    return leaf(x);
  }
  return recurse(depth - 1, x + 1) * 2 + leaf(depth);
}

NOINLINE uint64_t tail_target(uint64_t x, uint64_t y) { return leaf(x) + leaf(y); }
NOINLINE uint64_t tail_caller(uint64_t x) {
  const uint64_t y = leaf(x) + leaf(x + 1);
  return tail_target(x + y, y);
}

// The rare path saves its registers late.
NOINLINE uint64_t shrink_wrapped(uint64_t x) {
  if (x % 2 == 0) {
    return x;
  }
  return many_registers(x, x + 1, x + 2, x + 3) + leaf(x);
}

NOINLINE uint64_t many_arguments(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                                 uint64_t f, uint64_t g, uint64_t h, uint64_t i) {
  return leaf(a + b + c + d + e + f) + leaf(g) + h * i;
}

NOINLINE uint64_t variadic(int count, ...) {
  va_list list;
  va_start(list, count);
  uint64_t sum = 0;
  for (int i = 0; i < count; ++i) {
    sum += leaf(va_arg(list, uint64_t));
  }
  va_end(list);
  return sum;
}

NOINLINE uint64_t dispatch(unsigned what, uint64_t x) {
  switch (what) {
    case 0:
      return with_alloca(x % 40);
    case 1:
      return realigned(x % 40);
    case 2:
      return large_frame(x);
    case 3:
      return recurse(5, x);
    case 4:
      return tail_caller(x);
    case 5:
      return shrink_wrapped(x);
    case 6:
      return many_arguments(1, 2, 3, 4, 5, 6, 7, 8, x);
    case 7:
      return variadic(4, x, x + 1, x + 2, x + 3);
    default:
      return leaf(x);
  }
}

static int compare(const void* a, const void* b) {
  const uint64_t x = *(const uint64_t*)a, y = *(const uint64_t*)b;
  sink += leaf(x);
  return x < y ? -1 : x > y;
}

NOINLINE void library_calls(void) {
  uint64_t numbers[12];
  for (int i = 0; i < 12; ++i) {
    numbers[i] = leaf((uint64_t)(i * 7919 % 12));
  }
  qsort(numbers, 12, sizeof(numbers[0]), compare);
  char text[128];
  snprintf(text, sizeof(text), "%s %d %.3f", "text", (int)numbers[0], 1.5);
  char* copy = malloc(strlen(text) + 1);
  strcpy(copy, text);
  sink += strlen(copy);
  free(copy);
}

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? atoi(argv[1]) : 1;
  raise(SIGSTOP);
  for (int round = 0; round < rounds; ++round) {
    for (unsigned what = 0; what < 9; ++what) {
      sink += dispatch(what, (uint64_t)round * 5 + what);
    }
    library_calls();
  }
  return 0;
}
