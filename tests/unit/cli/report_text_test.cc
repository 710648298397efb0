#include "cli/report_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace whyslow {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

FunctionTable TwoFunctions() {
  FunctionTable table;
  table.type = "cpu";
  table.unit = "nanoseconds";
  table.total = 2'000'000'000;
  table.rows = {
      {.name = "read", .file = "/src/io.c", .self = 1'500'000'000, .total = 1'500'000'000},
      {.name = "main", .self = 500'000'000, .total = 2'000'000'000}};
  return table;
}

ProfileDiff OneSlowerFunction() {
  ProfileDiff diff;
  diff.type = "cpu";
  diff.unit = "nanoseconds";
  diff.per_second = true;
  diff.whole = {.before = 0.5e9, .after = 0.75e9};
  diff.rows = {{.name = "read", .self = {0.1e9, 0.35e9}, .total = {0.5e9, 0.75e9}}};
  return diff;
}

TEST(TableAsText, ShowsSelfAndTotalWithShares) {
  EXPECT_EQ(TableAsText(TwoFunctions(), GroupBy::kFunction, {}),
            "cpu: 2.00 s in all\n"
            "  self   share   total    share  function\n"
            "1.50 s  75.0 %  1.50 s   75.0 %  read (io.c)\n"
            "0.50 s  25.0 %  2.00 s  100.0 %  main\n");
}

TEST(TableAsText, SaysHowManyRowsAreLeftOut) {
  EXPECT_THAT(TableAsText(TwoFunctions(), GroupBy::kFunction, {.limit = 1}),
              HasSubstr("1 more rows; --limit N shows more\n"));
}

TEST(TableAsText, ThreadsHaveOneColumnOfTime) {
  FunctionTable table = TwoFunctions();
  table.rows = {{.name = "worker", .number = 12, .self = 2'000'000'000, .total = 2'000'000'000}};

  EXPECT_EQ(TableAsText(table, GroupBy::kThread, {}),
            "cpu: 2.00 s in all\n"
            "   cpu    share  thread\n"
            "2.00 s  100.0 %  worker (12)\n");
}

TEST(TableAsText, HostileNamesReachNoTerminal) {
  FunctionTable table = TwoFunctions();
  table.type = "c\x1bpu";
  table.rows[0].name = "evil\x1b[2J";
  table.rows[1].file = "/x/\x9b.c";

  const std::string text = TableAsText(table, GroupBy::kFunction, {});

  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  EXPECT_THAT(text, HasSubstr("evil\\x1b[2J"));
}

TEST(TableAsJson, HasExactNumbersAndFullPaths) {
  const auto json = nlohmann::json::parse(TableAsJson(TwoFunctions(), GroupBy::kFunction, 5, 1));

  EXPECT_EQ(json["format"], "whyslow-report");
  EXPECT_EQ(json["version"], 1);
  EXPECT_EQ(json["duration_nanos"], 5);
  EXPECT_EQ(json["total"], 2'000'000'000);
  EXPECT_EQ(json["value"]["unit"], "nanoseconds");
  EXPECT_EQ(json["rows"].size(), 1u);
  EXPECT_EQ(json["rows_left_out"], 1);
  EXPECT_EQ(json["rows"][0]["file"], "/src/io.c");
  EXPECT_EQ(json["rows"][0]["self"], 1'500'000'000);
}

TEST(IdleLeftOutLine, SaysHowMuchAndHowToSeeIt) {
  EXPECT_EQ(IdleLeftOutLine(93'200'000'000, "nanoseconds"),
            "idle waits left out: 93.20 s; --idle yes shows them\n");
  EXPECT_EQ(IdleLeftOutLine(12, "count"), "idle waits left out: 12; --idle yes shows them\n");
  EXPECT_EQ(IdleLeftOutLine(0, "nanoseconds"), "");
}

TEST(TableAsJson, SaysHowMuchIsLeftOut) {
  const auto json =
      nlohmann::json::parse(TableAsJson(TwoFunctions(), GroupBy::kFunction, 5, 1, 77));

  EXPECT_EQ(json["idle_left_out"], 77);
}

TEST(TableAsJson, BytesThatAreNoUtf8DoNotBreakIt) {
  FunctionTable table = TwoFunctions();
  table.rows[0].name = "a\xff";

  EXPECT_EQ(nlohmann::json::parse(TableAsJson(table, GroupBy::kFunction, 0, 9))["rows"][0]["name"],
            "a\ufffd");
}

TEST(DiffAsText, ShowsBeforeAfterAndChange) {
  EXPECT_EQ(
      DiffAsText(OneSlowerFunction(), {}),
      "cpu per second profiled: 500.00 ms/s before, 750.00 ms/s after, +250.00 ms/s (50.0 %)\n"
      "self before        after             \u0394  total before        after             \u0394  "
      "function\n"
      "100.00 ms/s  350.00 ms/s  +250.00 ms/s   500.00 ms/s  750.00 ms/s  +250.00 ms/s  read\n");
}

TEST(DiffAsText, SaysWhenSumsAreCompared) {
  ProfileDiff diff = OneSlowerFunction();
  diff.per_second = false;

  EXPECT_THAT(DiffAsText(diff, {}), HasSubstr("sums are compared"));
}

TEST(DiffAsJson, HasAllThreeNumbers) {
  const auto json = nlohmann::json::parse(DiffAsJson(OneSlowerFunction(), 10));

  EXPECT_EQ(json["per_second"], true);
  EXPECT_DOUBLE_EQ(json["rows"][0]["self"]["delta"], 0.25e9);
  EXPECT_DOUBLE_EQ(json["total"]["before"], 0.5e9);
}

}  // namespace
}  // namespace whyslow
