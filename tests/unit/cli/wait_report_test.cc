#include "cli/wait_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace whyslow {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

WaitTable TwoWaits() {
  WaitTable table{.count = 3, .total = 2'000'000'000, .count_with_times = 3};
  WaitTableRow socket{.kind = "socket",
                      .family = WaitFamily::kNetwork,
                      .words = "socket 127.0.0.1:5432 postgresql",
                      .peer = "127.0.0.1:5432",
                      .protocol = "postgresql",
                      .site = {.function = "Query", .file = "/src/db.cc", .line = 21},
                      .count = 3,
                      .total = 1'500'000'000};
  for (int i = 0; i < 3; ++i) {
    socket.times.Add(500'000'000);
  }
  const WaitTableRow poll{.kind = "poll",
                          .family = WaitFamily::kPoll,
                          .words = "poll",
                          .site = {.function = "[app+0x12]"},
                          .idle = true,
                          .total = 500'000'000};
  table.rows = {socket, poll};
  return table;
}

TEST(WaitsAsText, HasReasonPlaceAndDurations) {
  EXPECT_EQ(WaitsAsText(TwoWaits(), {}),
            "wait: 2.00 s in all, 3 waits\n"
            "  wait   share  count        p50        p95        max  for what, where\n"
            "1.50 s  75.0 %      3  500.00 ms  500.00 ms  500.00 ms  "
            "socket 127.0.0.1:5432 postgresql in Query (db.cc:21)\n"
            "0.50 s  25.0 %      -          -          -          -  poll (idle) in [app+0x12]\n");
}

TEST(WaitsAsText, SaysThatDurationsAreMissing) {
  WaitTable table = TwoWaits();
  table.count_with_times = 1;
  EXPECT_THAT(WaitsAsText(table, {}), HasSubstr("of 1 of the 3 waits"));

  table.count_with_times = 0;
  EXPECT_THAT(WaitsAsText(table, {}), HasSubstr("p50, p95 and max are missing"));
}

TEST(WaitsAsText, SaysHowManyRowsAreLeftOut) {
  EXPECT_THAT(WaitsAsText(TwoWaits(), {.limit = 1}), HasSubstr("1 more rows"));
}

TEST(WaitsAsText, HostileNamesReachNoTerminal) {
  WaitTable table = TwoWaits();
  table.rows[0].words = "file /tmp/\x1b[2J";
  table.rows[1].site.function = "a\nb";

  const std::string text = WaitsAsText(table, {});

  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  EXPECT_THAT(text, HasSubstr("a b"));
}

TEST(WaitsAsJson, HasExactNumbers) {
  const auto json = nlohmann::json::parse(WaitsAsJson(TwoWaits(), 9, 1, 77));

  EXPECT_EQ(json["format"], "whyslow-report");
  EXPECT_EQ(json["by"], "wait");
  EXPECT_EQ(json["total"], 2'000'000'000);
  EXPECT_EQ(json["duration_nanos"], 9);
  EXPECT_EQ(json["idle_left_out"], 77);
  EXPECT_EQ(json["rows_left_out"], 1);
  ASSERT_EQ(json["rows"].size(), 1U);
  EXPECT_EQ(json["rows"][0]["p50_ns"], 500'000'000);
  EXPECT_EQ(json["rows"][0]["site"]["file"], "/src/db.cc");
  EXPECT_EQ(json["rows"][0]["family"], "network");
}

TEST(WaitsAsJson, UnknownDurationsAreNull) {
  const auto json = nlohmann::json::parse(WaitsAsJson(TwoWaits(), 9, 2, 0));

  EXPECT_TRUE(json["rows"][1]["max_ns"].is_null());
  EXPECT_EQ(json["rows"][1]["timed"], 0);
}

}  // namespace
}  // namespace whyslow
