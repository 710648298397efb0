#include "profile/time_summary.h"

#include <gtest/gtest.h>

#include "profile/profile_builder.h"
#include "tests/support/sample_profiles.h"

namespace whyslow {
namespace {

constexpr int64_t kMillisecond = 1'000'000;

TEST(TimeSummary, AddsUpCpuWaitsAndIdle) {
  const TimeSums whole = SummarizeTime(WaitingProfile()).whole;

  EXPECT_EQ(whole.cpu, 2000 * kMillisecond);
  EXPECT_EQ(whole.wait, 15'159 * kMillisecond);
  EXPECT_EQ(whole.wall, 17'159 * kMillisecond);
  EXPECT_EQ(whole.idle, 13'000 * kMillisecond);
  ASSERT_EQ(whole.kinds.size(), 13U);
  EXPECT_EQ(whole.kinds[0].kind, WaitKind::kCondition);
  EXPECT_EQ(whole.kinds[0].idle, 9000 * kMillisecond);
  EXPECT_EQ(whole.kinds[2].kind, WaitKind::kSocket);
  EXPECT_EQ(whole.kinds[2].count, 24);
  EXPECT_EQ(whole.kinds[2].idle, 0);
}

TEST(TimeSummary, EachThreadHasItsOwn) {
  const std::vector<ThreadTime> threads = SummarizeTime(WaitingProfile()).threads;

  ASSERT_EQ(threads.size(), 3U);
  EXPECT_EQ(threads[0].name, "worker-1");
  EXPECT_EQ(threads[0].pid, 4711);
  EXPECT_EQ(threads[0].tid, 4712);
  EXPECT_EQ(threads[0].times.cpu, 1000 * kMillisecond);
  EXPECT_EQ(threads[0].times.wall, 6201 * kMillisecond);
  EXPECT_EQ(threads[2].times.cpu, 0);
}

TEST(TimeSummary, WhatTheProfileHasNotIsUnknown) {
  ProfileBuilder builder;
  builder.SetValueTypes({{"space", "bytes"}, {"wall", "count"}});
  builder.AddSample(StackIndex(), LabelSetIndex(), {{5, 5}});
  const TimeSummary summary = SummarizeTime(builder.profile());

  EXPECT_EQ(summary.whole.cpu, std::nullopt);
  EXPECT_EQ(summary.whole.wait, std::nullopt);
  EXPECT_EQ(summary.whole.wall, std::nullopt);
  EXPECT_EQ(summary.threads.size(), 1U);
}

TEST(TimeSummary, ThreadsWithoutNumbersGoByTheirNames) {
  ProfileBuilder builder;
  builder.SetValueTypes({{"cpu", "nanoseconds"}});
  for (const char* name : {"a", "b", "a"}) {
    const std::vector<Label> labels = {builder.TextLabel("thread", name)};
    builder.AddSample(StackIndex(), builder.AddLabels(labels), {{1}});
  }

  EXPECT_EQ(SummarizeTime(builder.profile()).threads.size(), 2U);
}

}  // namespace
}  // namespace whyslow
