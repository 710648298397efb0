#include "sampler/perf/event_config.h"

#include <gmock/gmock.h>
#include <time.h>

#include <bit>

namespace whyslow {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

TEST(EventConfig, TheCpuClockHasAFixedPeriodInNanoseconds) {
  const perf_event_attr attr = SamplingAttributes({.frequency_hz = 1000}, {});

  EXPECT_EQ(attr.type, PERF_TYPE_SOFTWARE);
  EXPECT_EQ(attr.config, PERF_COUNT_SW_CPU_CLOCK);
  EXPECT_EQ(attr.freq, 0);
  EXPECT_EQ(attr.sample_period, 1'000'000);
}

TEST(EventConfig, CyclesHaveAFrequency) {
  const perf_event_attr attr =
      SamplingAttributes({.frequency_hz = 1000, .clock = SampleClock::kCycles}, {});

  EXPECT_EQ(attr.type, PERF_TYPE_HARDWARE);
  EXPECT_EQ(attr.freq, 1);
  EXPECT_EQ(attr.sample_freq, 1000);
}

TEST(EventConfig, EveryEventIsStampedWithTheMonotonicClock) {
  EXPECT_EQ(SamplingAttributes({}, {}).clockid, CLOCK_MONOTONIC);
  EXPECT_EQ(SidebandAttributes({}).clockid, CLOCK_MONOTONIC);
  EXPECT_EQ(SwitchAttributes().clockid, CLOCK_MONOTONIC);
  EXPECT_EQ(SwitchAttributes().use_clockid, 1);
}

TEST(EventConfig, IdleCpusAreNotSampled) { EXPECT_EQ(SamplingAttributes({}, {}).exclude_idle, 1); }

TEST(EventConfig, WithoutTheRightKernelModeIsLeftOut) {
  const perf_event_attr attr = SamplingAttributes({}, {.kernel_mode = false});

  EXPECT_EQ(attr.exclude_kernel, 1);
  EXPECT_EQ(attr.sample_type & PERF_SAMPLE_CALLCHAIN, 0);
}

TEST(EventConfig, WithoutKernelFramesKernelModeIsStillSampled) {
  const perf_event_attr attr = SamplingAttributes({.kernel_frames = false}, {});

  EXPECT_EQ(attr.exclude_kernel, 0);
  EXPECT_EQ(attr.sample_type & PERF_SAMPLE_CALLCHAIN, 0);
}

TEST(EventConfig, TheReaderIsWokenAtOnceBySidebandOnly) {
  EXPECT_EQ(SidebandAttributes({}).wakeup_watermark, 1);
  EXPECT_EQ(SamplingAttributes({}, {}).watermark, 1);
  EXPECT_EQ(SamplingAttributes({}, {}).wakeup_watermark, 0);
}

TEST(EventConfig, NewCodeOfTheKernelIsToldToThoseWhoSeeItsFrames) {
  EXPECT_EQ(SidebandAttributes({}).ksymbol, 1);
  EXPECT_EQ(SidebandAttributes({.kernel_mode = false}).ksymbol, 0);
  EXPECT_EQ(SidebandAttributes({.kernel_symbols = false}).ksymbol, 0);
}

TEST(EventConfig, MappingsComeWithoutBuildIdsThatWouldSpoilTheRecordsOfOtherProfilers) {
  EXPECT_EQ(SidebandAttributes({}).build_id, 0);
}

TEST(EventConfig, AnInheritedEventOfOneProcessFollowsItsThreadsOnly) {
  perf_event_attr attr = SidebandAttributes({});

  MakeInherited(attr, /*follow_children=*/false);

  EXPECT_EQ(attr.inherit, 1);
  EXPECT_EQ(attr.inherit_thread, 1);
}

TEST(EventConfig, AFrequencyAboveTheKernelsLimitIsLoweredAndSaidSo) {
  std::vector<std::string> warnings;

  const SamplerOptions options = WithinLimits({.frequency_hz = 5000}, 2000, warnings);

  EXPECT_EQ(options.frequency_hz, 2000);
  EXPECT_THAT(warnings, ElementsAre(HasSubstr("perf_event_max_sample_rate=5000")));
}

TEST(EventConfig, AFrequencyOfZeroIsRaised) {
  std::vector<std::string> warnings;

  EXPECT_EQ(WithinLimits({.frequency_hz = 0}, std::nullopt, warnings).frequency_hz, 1);
  EXPECT_THAT(warnings, SizeIs(1));
}

TEST(EventConfig, AnOrdinaryFrequencyIsLeftAlone) {
  std::vector<std::string> warnings;

  EXPECT_EQ(WithinLimits({.frequency_hz = 99}, 100000, warnings).frequency_hz, 99);
  EXPECT_THAT(warnings, IsEmpty());
}

TEST(EventConfig, StackBytesAreAMultipleOfEightAndFitARecord) {
  std::vector<std::string> warnings;

  EXPECT_EQ(WithinLimits({.stack_bytes = 1001}, std::nullopt, warnings).stack_bytes, 1000);
  EXPECT_EQ(WithinLimits({.stack_bytes = 1 << 20}, std::nullopt, warnings).stack_bytes, 63 * 1024);
}

TEST(EventConfig, RingsHoldATenthOfASecondAtFullSpeedOnTwoCpus) {
  const RingPlan plan = PlanRings({.frequency_hz = 4999, .stack_bytes = 16384}, 2, std::nullopt);

  EXPECT_GE(plan.sampling, size_t{4999} * (16384 + 512) / 10);
  EXPECT_TRUE(std::has_single_bit(plan.sampling));
}

TEST(EventConfig, RingsOfManyCpusStayBoundedTogether) {
  const RingPlan plan = PlanRings({.frequency_hz = 4999, .stack_bytes = 16384}, 64, std::nullopt);

  EXPECT_LE(64 * (plan.sampling + plan.sideband + plan.switches), size_t{40} << 20);
}

TEST(EventConfig, RingsStayWithinWhatTheUserMayLock) {
  constexpr size_t kBudget = size_t{2} * 516 * 1024;
  const RingPlan plan = PlanRings({.frequency_hz = 999}, 2, kBudget);

  EXPECT_LE(2 * (plan.sampling + plan.sideband + plan.switches), kBudget);
}

TEST(EventConfig, ACpuListHasNumbersAndRanges) {
  EXPECT_THAT(ParseCpuList("0-2,8,10-11\n"),
              ElementsAre(Cpu{0}, Cpu{1}, Cpu{2}, Cpu{8}, Cpu{10}, Cpu{11}));
}

TEST(EventConfig, ACpuListThatMakesNoSenseIsLeftOut) {
  EXPECT_THAT(ParseCpuList("x,3,-,0-999999999"), ElementsAre(Cpu{3}));
}

}  // namespace
}  // namespace whyslow
