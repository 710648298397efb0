#include "cli/table.h"

#include <gtest/gtest.h>

namespace whyslow {
namespace {

TEST(TextTable, AlignsNumbersRightAndNamesLeft) {
  TextTable table({"self", "share", "function"});
  table.AddRow({"12.00 s", "99.0 %", "Work"});
  table.AddRow({"0.12 s", "1.0 %", "main"});

  EXPECT_EQ(table.Render(0, false),
            "   self   share  function\n"
            "12.00 s  99.0 %  Work\n"
            " 0.12 s   1.0 %  main\n");
}

TEST(TextTable, CutsNamesInTheMiddleWhereTheTerminalEnds) {
  TextTable table({"self", "function"});
  table.AddRow({"1", std::string(50, 'a') + std::string(50, 'z')});

  EXPECT_EQ(table.Render(30, false),
            "self  function\n"
            "   1  aaaaaaaaaaa...zzzzzzzzzz\n");
}

TEST(TextTable, NeutralizesHostileNames) {
  TextTable table({"n", "function"});
  table.AddRow({"1", "\x1b[2Jgone\n"});

  EXPECT_EQ(table.Render(0, false), "n  function\n1  \\x1b[2Jgone \n");
}

TEST(ValueScale, ChoosesOneUnitForAllFromTheGreatest) {
  const ValueScale seconds("nanoseconds", 12e9);
  EXPECT_EQ(seconds.Format(12e9), "12.00 s");
  EXPECT_EQ(seconds.Format(5e6), "0.01 s");

  const ValueScale milliseconds("microseconds", 900e3);
  EXPECT_EQ(milliseconds.Format(1500), "1.50 ms");

  const ValueScale bytes("bytes", 3.5e6);
  EXPECT_EQ(bytes.Format(3.5e6), "3.50 MB");
}

TEST(ValueScale, CountsAreWholeNumbersWithThousands) {
  const ValueScale counts("count", 1234567);
  EXPECT_EQ(counts.Format(1234567), "1,234,567");
  EXPECT_EQ(counts.Format(-1234), "-1,234");
  EXPECT_EQ(counts.FormatChange(12), "+12");
  EXPECT_EQ(counts.FormatChange(0), "0");
}

TEST(ValueScale, RatesSayPerSecond) {
  EXPECT_EQ(ValueScale("nanoseconds", 0.98e9, true).FormatChange(0.25e9), "+250.00 ms/s");
  EXPECT_EQ(ValueScale("count", 97.5, true).Format(97.5), "97.50/s");
}

TEST(FormatShare, HasNoShareOfNothing) {
  EXPECT_EQ(FormatShare(1, 8), "12.5 %");
  EXPECT_EQ(FormatShare(0, 0), "-");
}

}  // namespace
}  // namespace whyslow
