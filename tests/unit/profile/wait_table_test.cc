#include "profile/wait_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "profile/profile_builder.h"
#include "profile/profile_filter.h"
#include "tests/support/sample_profiles.h"

namespace whyslow {
namespace {

using ::testing::ElementsAre;

constexpr int64_t kMillisecond = 1'000'000;

std::vector<std::string> WordsOf(const WaitTable& table) {
  std::vector<std::string> words;
  for (const WaitTableRow& row : table.rows) {
    words.push_back(row.words + " in " + row.site.function + (row.idle ? " idle" : ""));
  }
  return words;
}

const WaitTableRow& RowOf(const WaitTable& table, std::string_view kind) {
  for (const WaitTableRow& row : table.rows) {
    if (row.kind == kind) {
      return row;
    }
  }
  static const WaitTableRow none;
  ADD_FAILURE() << "no row of kind " << kind;
  return none;
}

TEST(WaitTable, HasOneRowACallSiteGreatestFirst) {
  EXPECT_THAT(WordsOf(MakeWaitTable(WaitingProfile())),
              ElementsAre("condition in NextJob idle", "accept 0.0.0.0:8080 in Listen idle",
                          "socket 127.0.0.1:5432 postgresql in Query", "mutex in Cache::Get",
                          "sleep in Backoff", "child in Convert", "throttled in main",
                          "poll 127.0.0.1:6379 redis in Loop", "stopped in Convert",
                          "tls 10.0.0.1:443 https handshake in Fetch", "file /var/lib/x.db in Log",
                          "syscall getrandom in Seed", "runqueue in Query"));
}

TEST(WaitTable, ThreadsAreAddedUpWithTheirDurations) {
  const WaitTable table = MakeWaitTable(WaitingProfile());
  const WaitTableRow& socket = RowOf(table, "socket");

  EXPECT_EQ(socket.count, 24);
  EXPECT_EQ(socket.total, 1200 * kMillisecond);
  EXPECT_EQ(socket.times.count, 24U);
  EXPECT_EQ(socket.times.Quantile(0.95), 50U * kMillisecond);
  EXPECT_EQ(socket.site, (WaitSite{.function = "Query", .file = "/src/db.cc", .line = 21}));
  EXPECT_EQ(socket.syscall, "recvfrom");
  EXPECT_EQ(RowOf(table, "mutex").times.max, 94U * kMillisecond);
}

TEST(WaitTable, TheRunQueueHasTimeButNobodyCounts) {
  const WaitTable table = MakeWaitTable(WaitingProfile());
  const WaitTableRow& run_queue = RowOf(table, "runqueue");

  EXPECT_EQ(run_queue.count, 0);
  EXPECT_EQ(run_queue.total, 2 * kMillisecond);
  EXPECT_EQ(run_queue.times.count, 0U);
  EXPECT_EQ(run_queue.peer, "");
  EXPECT_EQ(run_queue.family, WaitFamily::kScheduler);
}

TEST(WaitTable, SumsAreTheProfiles) {
  const Profile profile = WaitingProfile();
  const WaitTable table = MakeWaitTable(profile);
  int64_t waits = 0;
  int64_t time = 0;
  for (size_t i = 0; i < profile.samples.size(); ++i) {
    waits += profile.ValuesOf(i)[2];
    time += profile.ValuesOf(i)[3];
  }

  EXPECT_EQ(table.count, waits);
  EXPECT_EQ(table.total, time);
  EXPECT_EQ(table.count_with_times, waits - 3);  // throttled: no durations
}

TEST(WaitTable, WithoutDurationsTheSumsStay) {
  Profile profile = WaitingProfile();
  profile.wait_times.clear();
  const WaitTable table = MakeWaitTable(profile);

  EXPECT_EQ(table.count_with_times, 0);
  EXPECT_EQ(RowOf(table, "socket").total, 1200 * kMillisecond);
  EXPECT_EQ(RowOf(table, "socket").times.count, 0U);
}

TEST(WaitTable, IdleWaitsGoByTheFilter) {
  const WaitTable table = MakeWaitTable(FilterProfile(WaitingProfile(), {.idle = false}));

  EXPECT_EQ(table.total, (15'159 - 13'000) * kMillisecond);
  EXPECT_EQ(RowOf(table, "socket").times.count, 24U);
}

TEST(WaitTable, AProfileThatKnowsNoWaitsHasNone) {
  ProfileBuilder builder;
  builder.SetValueTypes({{"cpu", "nanoseconds"}});
  builder.AddSample(StackIndex(), LabelSetIndex(), {{5}});

  EXPECT_FALSE(KnowsWaits(builder.profile()));
  EXPECT_TRUE(MakeWaitTable(builder.profile()).rows.empty());
  EXPECT_TRUE(KnowsWaits(WaitingProfile()));
}

TEST(WaitTable, TimeThatSaysNotForWhatIsUnknown) {
  ProfileBuilder builder;
  builder.SetValueTypes({{"wait", "nanoseconds"}});
  builder.AddSample(StackIndex(), LabelSetIndex(), {{5}});
  const WaitTable table = MakeWaitTable(builder.profile());

  ASSERT_EQ(table.rows.size(), 1U);
  EXPECT_EQ(table.rows[0].kind, "unknown");
  EXPECT_EQ(table.rows[0].site, WaitSite());
}

}  // namespace
}  // namespace whyslow
