#include "sampler/perf/stop_duty.h"

#include <gtest/gtest.h>

namespace whyslow {
namespace {

constexpr double kRound = 0.05;

// Of a thousand rounds, after the rate has come to be known.
int RoundsSampled(double switches_a_second) {
  StopDuty duty;
  const auto switches = static_cast<uint64_t>(switches_a_second * kRound);
  for (int i = 0; i < 100; ++i) {
    duty.NextRound(switches, kRound);
  }
  int sampled = 0;
  for (int i = 0; i < 1000; ++i) {
    sampled += duty.NextRound(switches, kRound) ? 1 : 0;
  }
  return sampled;
}

TEST(StopDuty, FewSwitchesAreAllSampled) {
  EXPECT_EQ(RoundsSampled(0), 1000);
  EXPECT_EQ(RoundsSampled(3'000), 1000);
}

TEST(StopDuty, OfManyAShareThatKeepsTheRate) { EXPECT_NEAR(RoundsSampled(200'000), 100, 20); }

TEST(StopDuty, SomeAreSampledHoweverManyThereAre) { EXPECT_GE(RoundsSampled(100e6), 10); }

TEST(StopDuty, AStormThatIsOverIsForgotten) {
  StopDuty duty;
  for (int i = 0; i < 20; ++i) {
    duty.NextRound(50'000, kRound);
  }
  for (int i = 0; i < 150; ++i) {
    duty.NextRound(10, kRound);
  }
  for (int i = 0; i < 50; ++i) {
    EXPECT_TRUE(duty.NextRound(10, kRound));
  }
}

}  // namespace
}  // namespace whyslow
