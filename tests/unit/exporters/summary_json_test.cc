#include "exporters/summary_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "exporters/wait_json.h"
#include "profile/profile_builder.h"
#include "tests/support/sample_profiles.h"

namespace whyslow {
namespace {

using nlohmann::json;
using testing::ElementsAre;

json Summary(const Profile& profile) {
  std::ostringstream out;
  EXPECT_TRUE(SummaryJsonExporter().Write(profile, out).ok());
  return json::parse(out.str());
}

std::vector<std::string> KeysOf(const json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) {
    keys.push_back(key);
  }
  return keys;
}

// docs/json.md tells these fields; scripts rely on them.
TEST(SummaryJson, HasTheDocumentedFields) {
  const json summary = Summary(WaitingProfile());

  EXPECT_THAT(KeysOf(summary),
              ElementsAre("comments", "duration_nanos", "format", "functions", "mode", "target",
                          "threads", "time_nanos", "times", "values", "version", "waits"));
  EXPECT_THAT(KeysOf(summary["times"]),
              ElementsAre("cpu_ns", "idle_ns", "wait_ns", "waits", "wall_ns"));
  EXPECT_THAT(KeysOf(summary["times"]["waits"][0]),
              ElementsAre("count", "family", "idle_ns", "kind", "total_ns"));
  EXPECT_THAT(KeysOf(summary["threads"]["rows"][0]),
              ElementsAre("cpu_ns", "idle_ns", "name", "pid", "process", "tid", "wait_ns", "waits",
                          "wall_ns"));
  EXPECT_THAT(KeysOf(summary["functions"]), ElementsAre("rows", "rows_left_out", "total", "value"));
  EXPECT_THAT(KeysOf(summary["waits"]),
              ElementsAre("count", "rows", "rows_left_out", "timed", "total_ns"));
  EXPECT_THAT(KeysOf(summary["waits"]["rows"][0]),
              ElementsAre("count", "family", "file", "idle", "kind", "max_ns", "p50_ns", "p95_ns",
                          "peer", "protocol", "site", "syscall", "timed", "tls", "total_ns"));
  EXPECT_EQ(summary["format"], "whyslow-summary");
  EXPECT_EQ(summary["version"], 1);
}

TEST(SummaryJson, NumbersAreTheProfiles) {
  const json summary = Summary(WaitingProfile());

  EXPECT_EQ(summary["target"], "gunicorn (4711)");
  EXPECT_EQ(summary["mode"], "wall");
  EXPECT_EQ(summary["duration_nanos"], 10'000'000'000);
  EXPECT_EQ(summary["values"][4]["total"], 17'159'000'000);
  EXPECT_EQ(summary["times"]["idle_ns"], 13'000'000'000);
  EXPECT_EQ(summary["threads"]["rows"].size(), 3U);
  EXPECT_EQ(summary["functions"]["value"]["type"], "wall");
  EXPECT_EQ(summary["functions"]["rows"][0]["name"], "[wait: condition]");
  const json& socket = summary["waits"]["rows"][2];
  EXPECT_EQ(socket["kind"], "socket");
  EXPECT_EQ(socket["peer"], "127.0.0.1:5432");
  EXPECT_EQ(socket["site"]["function"], "Query");
  EXPECT_EQ(socket["site"]["line"], 21);
  EXPECT_EQ(socket["p95_ns"], 50'000'000);
  EXPECT_EQ(socket["idle"], false);
}

TEST(SummaryJson, WhatIsUnknownIsNull) {
  ProfileBuilder builder;
  builder.SetValueTypes({{"space", "bytes"}});
  builder.AddSample(StackIndex(), LabelSetIndex(), {{5}});
  const json summary = Summary(builder.profile());

  EXPECT_TRUE(summary["waits"].is_null());
  EXPECT_TRUE(summary["times"]["cpu_ns"].is_null());
  EXPECT_EQ(summary["values"][0]["total"], 5);

  Profile without_times = WaitingProfile();
  without_times.wait_times.clear();
  EXPECT_TRUE(Summary(without_times)["waits"]["rows"][2]["p50_ns"].is_null());
}

TEST(SummaryJson, TablesAreBoundedAndSaySo) {
  const json summary = Summary(LargeProfile(/*frames=*/20'000, /*depth=*/50));

  EXPECT_EQ(summary["functions"]["rows"].size(), 200U);
  EXPECT_GT(summary["functions"]["rows_left_out"], 1000);
}

TEST(SummaryJson, HostileNamesAreText) {
  const json summary = Summary(HostileProfile());

  EXPECT_EQ(summary["threads"]["rows"].size(), 1U);
  EXPECT_EQ(
      summary["functions"]["rows"].size() + summary["functions"]["rows_left_out"].get<size_t>(),
      27U);
}

}  // namespace
}  // namespace whyslow
