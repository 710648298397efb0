// A program whose inlining is known: the tests look for the lines marked [like this].
#include "tests/programs/symbols/shop.h"

volatile int sink;

__attribute__((always_inline)) inline int Innermost(int x) {
  sink = sink + x;  // [innermost]
  return sink;
}

namespace {

__attribute__((noinline)) int Hidden(int x) {
  sink = sink * x;  // [hidden]
  return x + 1;
}

}  // namespace

namespace shop {

template <class T>
struct Cart {
  __attribute__((always_inline)) int Add(T x) {
    return Innermost(static_cast<int>(x)) * 2;  // [middle]
  }
};

__attribute__((noinline)) int Checkout(int x) {  // [checkout starts]
  Cart<long> cart;
  return cart.Add(x) + 1;  // [checkout]
}

__attribute__((noinline)) int Pay(int x) {
  struct Purse {
    int coins;
    __attribute__((noinline)) int Take(int n) {
      sink = sink - n;  // [local class]
      return coins * n;
    }
  };
  Purse purse{x};
  return purse.Take(x + 3) + 5;
}

}  // namespace shop

extern "C" __attribute__((noinline)) int plain_c(int x) {
  sink = sink + x * 3;  // [plain c]
  return FromHeader(x);
}

int main(int argc, char** /*argv*/) {
  return shop::Checkout(argc) + shop::Pay(argc) + Hidden(argc) + plain_c(argc) + Elsewhere(argc);
}
