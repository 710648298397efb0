// Names of C++: anonymous namespaces, templates, operators, lambdas.
#include <utility>

#include "burn.h"

namespace shop {

struct Price {
  unsigned long cents;
};

NOINLINE Price operator+(const Price& a, const Price& b) {
  unsigned long x = a.cents + b.cents;
  BURN(x, kLong);
  return {x};
}

template <class T, int N>
struct Cart {
  template <class U>
  NOINLINE T Add(std::pair<T, U> items) {
    return {(items.first + T{N}).cents + static_cast<unsigned long>(items.second)};
  }
};

namespace {

NOINLINE unsigned long Hidden(unsigned long x) {
  Cart<Price, 7> cart;
  return cart.Add<short>({Price{x}, static_cast<short>(3)}).cents + 1;
}

}  // namespace

template <class Call>
NOINLINE unsigned long Twice(Call call) {
  return call(1UL) + 1;
}

NOINLINE unsigned long Outer(unsigned long x) {
  return Twice([x](unsigned long y) __attribute__((noinline)) { return Hidden(x + y) * 2; }) + 1;
}

}  // namespace shop

int main() {
  Ready();
  for (;;) {
    sink = shop::Outer(sink);
  }
}
