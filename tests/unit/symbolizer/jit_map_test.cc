#include "symbolizer/jit_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace whyslow {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> NamesOf(std::string_view map, std::vector<uint64_t> wanted) {
  std::vector<std::string> names;
  for (const JitHit& hit : FindJitCode(ReadJitMap(map), wanted)) {
    names.push_back(hit.name);
  }
  return names;
}

TEST(JitMap, ALineCoversItsBytes) {
  EXPECT_THAT(NamesOf("1000 10 one\n", {0xFFF, 0x1000, 0x100F, 0x1010}),
              ElementsAre("", "one", "one", ""));
}

TEST(JitMap, NamesMayHoldSpaces) {
  EXPECT_THAT(NamesOf("0x1000 0x10 LazyCompile:*run app.js:12\n", {0x1000}),
              ElementsAre("LazyCompile:*run app.js:12"));
}

TEST(JitMap, TheLaterLineHoldsWhereTwoOverlap) {
  EXPECT_THAT(NamesOf("1000 30 old\n1010 10 new\n", {0x1000, 0x1010, 0x1020}),
              ElementsAre("old", "new", "old"));
}

TEST(JitMap, LinesThatAreNoneAreSkipped) {
  EXPECT_THAT(NamesOf("\n\nnot a line\n1000\n1000 10\n1000 10 \n 1000 10 x\n1000 zz x\n1000 10 ok",
                      {0x1000}),
              ElementsAre("ok"));
}

TEST(JitMap, HugeNumbersAreHarmless) {
  EXPECT_THAT(NamesOf("ffffffffffffffff ffffffffffffffff top\n1 ffffffffffffffff all\n"
                      "10000000000000000000 1 x\n",
                      {0, 5, ~uint64_t{0}}),
              ElementsAre("", "all", "all"));
}

TEST(JitMap, ManyOverlappingLinesAreCheap) {
  std::string map;
  for (int i = 0; i < 100'000; ++i) {
    map += "1000 100000 f" + std::to_string(i) + "\n";
  }
  std::vector<uint64_t> wanted;
  for (uint64_t i = 0; i < 10'000; ++i) {
    wanted.push_back(0x1000 + i);
  }

  const std::vector<std::string> names = NamesOf(map, wanted);

  EXPECT_EQ(names.front(), "f99999");
  EXPECT_EQ(names.back(), "f99999");
}

TEST(JitMap, AnEmptyMapNamesNothing) { EXPECT_THAT(NamesOf("", {1}), ElementsAre("")); }

}  // namespace
}  // namespace whyslow
