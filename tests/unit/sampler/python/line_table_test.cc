#include "sampler/python/line_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <random>
#include <string>

namespace whyslow {
namespace {

using ::testing::ElementsAre;

std::string Bytes(std::initializer_list<int> values) {
  std::string bytes;
  for (const int value : values) {
    bytes += static_cast<char>(value);
  }
  return bytes;
}

std::vector<int32_t> Lines(const PythonLineTable& table, std::initializer_list<int64_t> offsets) {
  std::vector<int32_t> lines;
  for (const int64_t offset : offsets) {
    lines.push_back(table.LineAt(offset));
  }
  return lines;
}

// A head of the tables from 3.11 on.
int Head(int kind, int instructions) { return 128 | kind << 3 | (instructions - 1); }

TEST(PythonLineTable, DeltasHoldUntilTheNextOne) {
  const PythonLineTable table(LineTableKind::kDeltas, Bytes({0, 1, 6, 1, 4, 2}), 10);

  EXPECT_THAT(Lines(table, {0, 5, 6, 9, 10, 1000}), ElementsAre(11, 11, 12, 12, 14, 14));
}

TEST(PythonLineTable, DeltasMayGoBack) {
  const PythonLineTable table(LineTableKind::kDeltas, Bytes({2, 5, 2, -3, 2, -2}), 10);

  EXPECT_THAT(Lines(table, {0, 2, 4, 6}), ElementsAre(10, 15, 12, 10));
}

TEST(PythonLineTable, LargeDeltasComeInParts) {
  const PythonLineTable table(LineTableKind::kDeltas, Bytes({255, 0, 45, 127, 0, 127, 0, 46}), 10);

  EXPECT_THAT(Lines(table, {0, 299, 300}), ElementsAre(10, 10, 310));
}

TEST(PythonLineTable, WithoutATableOfDeltasAllIsTheFirstLine) {
  EXPECT_THAT(Lines(PythonLineTable(LineTableKind::kDeltas, "", 7), {-1, 0, 100}),
              ElementsAre(7, 7, 7));
}

TEST(PythonLineTable, BeforeTheFirstInstructionIsTheFirstLine) {
  for (const auto kind :
       {LineTableKind::kDeltas, LineTableKind::kRanges, LineTableKind::kLocations}) {
    EXPECT_EQ(PythonLineTable(kind, Bytes({2, 1, 2, 1}), 33).LineAt(-2), 33);
  }
}

TEST(PythonLineTable, RangesChangeTheLineBeforeTheyBegin) {
  const PythonLineTable table(LineTableKind::kRanges, Bytes({4, 1, 6, 3, 2, -2}), 10);

  EXPECT_THAT(Lines(table, {0, 3, 4, 9, 10, 11}), ElementsAre(11, 11, 14, 14, 12, 12));
}

TEST(PythonLineTable, RangesMayHaveNoLine) {
  const PythonLineTable table(LineTableKind::kRanges, Bytes({4, 1, 2, -128, 4, 1}), 10);

  EXPECT_THAT(Lines(table, {0, 4, 6}), ElementsAre(11, 0, 12));
}

TEST(PythonLineTable, EmptyRangesOnlyMoveTheLine) {
  const PythonLineTable table(LineTableKind::kRanges, Bytes({2, 0, 0, 127, 0, 127, 2, 46}), 10);

  EXPECT_THAT(Lines(table, {0, 2}), ElementsAre(10, 310));
}

TEST(PythonLineTable, BehindTheLastRangeIsNoLine) {
  const PythonLineTable table(LineTableKind::kRanges, Bytes({4, 1}), 10);

  EXPECT_THAT(Lines(table, {3, 4, 1000}), ElementsAre(11, 0, 0));
}

TEST(PythonLineTable, ShortLocationsKeepTheLine) {
  const PythonLineTable table(LineTableKind::kLocations,
                              Bytes({Head(0, 1), 0x12, Head(9, 8), 0x7f}), 10);

  EXPECT_THAT(Lines(table, {0, 1, 2, 17, 18}), ElementsAre(10, 10, 10, 10, 0));
}

TEST(PythonLineTable, OneLineLocationsAddUpToTwo) {
  const PythonLineTable table(LineTableKind::kLocations,
                              Bytes({Head(10, 1), 1, 2, Head(11, 1), 1, 2, Head(12, 1), 1, 2}), 10);

  EXPECT_THAT(Lines(table, {0, 2, 4}), ElementsAre(10, 11, 13));
}

TEST(PythonLineTable, LocationsWithoutColumnsHaveASignedNumber) {
  // 5, then -3; then 300 in two parts: 600 = 24 + (9 << 6).
  const PythonLineTable table(
      LineTableKind::kLocations,
      Bytes({Head(13, 1), 5 << 1, Head(13, 1), 3 << 1 | 1, Head(13, 1), 64 | 24, 9}), 10);

  EXPECT_THAT(Lines(table, {0, 2, 4}), ElementsAre(15, 12, 312));
}

TEST(PythonLineTable, LongLocationsHaveMoreBehindTheLine) {
  const PythonLineTable table(
      LineTableKind::kLocations,
      Bytes({Head(14, 2), 4 << 1, 1, 64 | 3, 2, 5, Head(14, 1), 2 << 1 | 1, 0, 1, 1}), 10);

  EXPECT_THAT(Lines(table, {0, 2, 4}), ElementsAre(14, 14, 12));
}

TEST(PythonLineTable, SomeInstructionsHaveNoLocation) {
  const PythonLineTable table(LineTableKind::kLocations,
                              Bytes({Head(11, 1), 0, 0, Head(15, 2), Head(11, 1), 0, 0}), 10);

  EXPECT_THAT(Lines(table, {0, 2, 4, 6}), ElementsAre(11, 0, 0, 12));
}

TEST(PythonLineTable, NeighboursWithOneLineShareARow) {
  std::string bytes;
  for (int i = 0; i < 10000; ++i) {
    bytes += Bytes({Head(0, 8), 0});
  }
  const PythonLineTable table(LineTableKind::kLocations, bytes, 10);

  EXPECT_EQ(table.LineAt(159'999), 10);
  EXPECT_LE(table.MemoryBytes(), 64U);
}

TEST(PythonLineTable, LinesOutsideAllNumbersAreNone) {
  const PythonLineTable below(LineTableKind::kLocations, Bytes({Head(13, 1), 63 << 1 | 1}), 10);
  const PythonLineTable above(LineTableKind::kDeltas, Bytes({2, 1, 2, 1}), INT32_MAX);

  EXPECT_EQ(below.LineAt(0), 0);
  EXPECT_EQ(above.LineAt(0), INT32_MAX);
  EXPECT_EQ(above.LineAt(100), INT32_MAX);
}

TEST(PythonLineTable, DamagedTablesGiveWrongLinesAndNothingElse) {
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random() % 64, '\0');
    for (char& byte : bytes) {
      byte = static_cast<char>(random());
    }
    const auto kind = static_cast<LineTableKind>(round % 3);
    const PythonLineTable table(kind, bytes, static_cast<int32_t>(random()));
    for (int64_t offset = -4; offset < 2048; offset += 3) {
      EXPECT_GE(table.LineAt(offset), 0);
    }
    EXPECT_LE(table.MemoryBytes(), 64 * 16U);
  }
}

}  // namespace
}  // namespace whyslow
