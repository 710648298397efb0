/* What every program here shares: it says READY, then burns CPU time in a chain of calls that is
   known, main -> outer -> middle -> leaf, until it is killed or a minute is over. */
#pragma once

#include <unistd.h>

#ifdef __clang__
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE __attribute__((noipa))
#endif
#define ALWAYS_INLINE __attribute__((always_inline)) inline

static volatile unsigned long sink = 1;

static inline void Ready(void) {
  alarm(60);
  if (write(1, "READY\n", 6) != 6) {
    _exit(1);
  }
}

/* One line, so that each instruction of the work belongs to the line that uses it. */
#define BURN(word, rounds) \
  for (unsigned long i_ = 0; i_ < (rounds); ++i_) (word) = ((word) ^ i_) * 6364136223846793005ul + 1

enum { kLong = 20000000, kShort = 100 };
