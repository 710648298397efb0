#include "sampler/perf/sleep_clock.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace whyslow {
namespace {

TEST(ParseLastRun, IsInNanoseconds) {
  EXPECT_EQ(ParseLastRun("cat (10706, #threads: 1)\n-----\n"
                         "se.exec_start                                :      51995825.694785\n"
                         "se.vruntime                                  :        117445.274408\n"),
            Nanoseconds(51'995'825'694'785));
}

TEST(ParseLastRun, OfDamagedTextIsUnknown) {
  EXPECT_EQ(ParseLastRun(""), std::nullopt);
  EXPECT_EQ(ParseLastRun("se.exec_start"), std::nullopt);
  EXPECT_EQ(ParseLastRun("se.exec_start : 12"), std::nullopt);
  EXPECT_EQ(ParseLastRun("se.exec_start : 12.34\n"), std::nullopt);
  EXPECT_EQ(ParseLastRun("se.exec_start : 0.000000\n"), std::nullopt);  // it never ran
  EXPECT_EQ(ParseLastRun("se.exec_start : -1.000000\n"), std::nullopt);
}

TEST(ParseLastCpu, StandsBehindAnyName) {
  EXPECT_EQ(ParseLastCpu("7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 "
                         "23 24 25 26 27 28 29 30 31 32 33 34 35 9 0 0"),
            Cpu{9});
  EXPECT_EQ(ParseLastCpu("7 (a) S 1 2"), std::nullopt);
  EXPECT_EQ(ParseLastCpu(""), std::nullopt);
}

TEST(ParseTakenTime, IsInterruptsAndWhatTheHypervisorTook) {
  const std::string_view stat =
      "cpu  9 9 9 9 9 9 9 9 0 0\n"
      "cpu0 1 2 3 4 5 10 20 30 0 0\n"
      "cpu1 1 2 3 4 5 0 0 0 0 0\n";
  const Nanoseconds tick = std::chrono::seconds(1) / sysconf(_SC_CLK_TCK);

  EXPECT_EQ(ParseTakenTime(stat, Cpu{0}), 60 * tick);
  EXPECT_EQ(ParseTakenTime(stat, Cpu{1}), Nanoseconds::zero());
  EXPECT_EQ(ParseTakenTime(stat, Cpu{2}), std::nullopt);
}

}  // namespace
}  // namespace whyslow
