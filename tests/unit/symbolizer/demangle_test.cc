#include "symbolizer/demangle.h"

#include <gtest/gtest.h>

#include <thread>

namespace whyslow {
namespace {

std::string Repeat(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) {
    all += text;
  }
  return all;
}

TEST(Demangle, LeavesPlainNamesAsTheyAre) {
  EXPECT_EQ(Demangle("main"), "main");
  EXPECT_EQ(Demangle(""), "");
  EXPECT_EQ(Demangle("_Z"), "_Z");
  EXPECT_EQ(Demangle("_Znot mangled"), "_Znot mangled");
}

TEST(Demangle, ReadsCpp) {
  EXPECT_EQ(Demangle("_ZN4shop8CheckoutEi"), "shop::Checkout(int)");
  EXPECT_EQ(Demangle("_ZNSt6vectorIiSaIiEE9push_backEOi"),
            "std::vector<int, std::allocator<int> >::push_back(int&&)");
}

TEST(Demangle, ReadsRustWithoutItsHash) {
  EXPECT_EQ(Demangle("_ZN4core3fmt5write17h0123456789abcdefE"), "core::fmt::write");
  EXPECT_EQ(Demangle("_ZN71_$LT$Test$u20$$u2b$$u20$$u27$static$u20$as$u20$foo..Bar$LT$Test$GT$$GT$3"
                     "bar17h930b740aa94f1d3aE"),
            "<Test + 'static as foo::Bar<Test>>::bar");
}

TEST(Demangle, ReadsTheNewRustScheme) {
  EXPECT_EQ(Demangle("_RNvCs1234_7mycrate3foo"), "mycrate::foo");
}

TEST(Demangle, PartsOfAFunctionAreStillThatFunction) {
  EXPECT_EQ(Demangle("_ZN4shop8CheckoutEi.cold"), "shop::Checkout(int)");
  EXPECT_EQ(Demangle("_ZN4shop8CheckoutEi.isra.0.constprop.12"), "shop::Checkout(int)");
  EXPECT_EQ(Demangle("parse.part.3"), "parse");
  EXPECT_EQ(Demangle("run.llvm.12345678901234"), "run");
  EXPECT_EQ(Demangle("version.2"), "version.2");
  EXPECT_EQ(Demangle(".cold"), ".cold");
}

TEST(Demangle, ANameThatDoublesWithEachStepIsLeftMangled) {
  // Each template has the one before twice as its arguments: 2^60 characters.
  std::string symbol = "_Z1f1aIiiE";
  const std::string digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  for (size_t i = 0; i < 30; ++i) {
    const std::string last = i == 0 ? "S0_" : std::string("S") + digits[i] + "_";
    symbol += "1aI" + last + last + "E";
  }

  EXPECT_LE(Demangle(symbol).size(), size_t{1} << 20);
}

TEST(Demangle, DeepNestingDoesNotExhaustTheStack) {
  for (const char* part :
       {"P", "N", "I", "F", "DTs", "L", "X", "M", "U", "1aI", "Z", "T_", "cv", "K"}) {
    const std::string symbol = "_Z1f" + Repeat(part, 20'000);
    std::thread([&symbol] {
      EXPECT_FALSE(Demangle(symbol).empty());
      EXPECT_FALSE(Demangle(symbol.substr(0, 8192)).empty());
      EXPECT_FALSE(Demangle(symbol.substr(0, 8180) + "i").empty());
    }).join();
  }
}

}  // namespace
}  // namespace whyslow
