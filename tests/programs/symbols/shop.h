// Code that gets inlined from another file, and a function of another unit.
#pragma once

extern volatile int sink;

__attribute__((always_inline)) inline int FromHeader(int x) {
  sink = sink / (x + 1);  // [header]
  return x;
}

int Elsewhere(int x);
