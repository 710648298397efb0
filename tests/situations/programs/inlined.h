// Inlined from a header, two deep.
#pragma once

#include "burn.h"

ALWAYS_INLINE unsigned long Innermost(unsigned long x) {
  BURN(x, kLong);  // [innermost]
  return x;
}

template <class T>
struct Cart {
  T items;
  ALWAYS_INLINE unsigned long Add(T x) {
    return Innermost(x + items) * 2;  // [add]
  }
};
