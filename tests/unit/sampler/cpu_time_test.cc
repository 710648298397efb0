#include "sampler/cpu_time.h"

#include <gtest/gtest.h>

namespace whyslow {
namespace {

using std::chrono::milliseconds;

constexpr Pid kServer{100};
constexpr Tid kThread{101};
constexpr StringIndex kName{1};
constexpr StackIndex kHash{7};
constexpr StackIndex kSort{8};
constexpr Nanoseconds kPeriod = milliseconds(10);

Instant At(int ms) { return Instant(milliseconds(ms)); }

Nanoseconds TotalOf(const std::vector<CpuTimeRow>& rows, StackIndex stack) {
  Nanoseconds total{};
  for (const CpuTimeRow& row : rows) {
    total += row.stack == stack ? row.time : Nanoseconds::zero();
  }
  return total;
}

int64_t SamplesOf(const std::vector<CpuTimeRow>& rows) {
  int64_t samples = 0;
  for (const CpuTimeRow& row : rows) {
    samples += row.samples;
  }
  return samples;
}

ThreadRunTime KernelTotal(Tid tid, int ms, bool baseline = false) {
  return {.pid = kServer, .tid = tid, .total = milliseconds(ms), .is_baseline = baseline};
}

ThreadStarted Started(Tid tid, Pid parent = kServer) {
  return {.pid = kServer, .tid = tid, .parent_pid = parent, .parent_tid = Tid{100}};
}

TEST(CpuTimeScaler, WithoutExactTimesSamplesKeepTheirOwnWeight) {
  CpuTimeScaler scaler;

  scaler.Add(At(10), kServer, kThread, kName, kHash, kPeriod);
  scaler.Add(At(20), kServer, kThread, kName, kHash, kPeriod);
  scaler.Add(At(30), kServer, kThread, kName, kSort, kPeriod);
  scaler.Finish(At(40));

  const std::vector<CpuTimeRow> rows = scaler.TakeRows();
  EXPECT_EQ(TotalOf(rows, kHash), milliseconds(20));
  EXPECT_EQ(TotalOf(rows, kSort), milliseconds(10));
  EXPECT_EQ(SamplesOf(rows), 3);
}

//  time, ms   0        10        20
//             ===______==________=====     runs 3 + 2 + 5 = 10 ms
//               *        *           *     samples stand for 30 ms
TEST(CpuTimeScaler, SamplesOfAThreadAreScaledToTheTimeBetweenItsSwitches) {
  CpuTimeScaler scaler;

  scaler.Apply(At(0), SwitchIn{kServer, kThread});
  scaler.Add(At(2), kServer, kThread, kName, kHash, kPeriod);
  scaler.Apply(At(3), SwitchOut{kServer, kThread});
  scaler.Apply(At(9), SwitchIn{kServer, kThread});
  scaler.Add(At(10), kServer, kThread, kName, kHash, kPeriod);
  scaler.Apply(At(11), SwitchOut{kServer, kThread});
  scaler.Apply(At(19), SwitchIn{kServer, kThread});
  scaler.Add(At(20), kServer, kThread, kName, kSort, kPeriod);
  scaler.Finish(At(24));

  const std::vector<CpuTimeRow> rows = scaler.TakeRows();
  EXPECT_EQ(scaler.exact_time(), milliseconds(10));
  EXPECT_EQ(TotalOf(rows, kHash) + TotalOf(rows, kSort), milliseconds(10));
  EXPECT_NEAR(static_cast<double>(TotalOf(rows, kHash).count()), 6'666'666.0, 2.0);
}

TEST(CpuTimeScaler, TimeBeforeTheAttachIsNotOurs) {
  CpuTimeScaler scaler;

  scaler.Apply(At(0), KernelTotal(kThread, 5'000, /*baseline=*/true));
  scaler.Add(At(10), kServer, kThread, kName, kHash, kPeriod);
  scaler.Apply(At(1000), KernelTotal(kThread, 5'012));
  scaler.Finish(At(1000));

  EXPECT_EQ(TotalOf(scaler.TakeRows(), kHash), milliseconds(12));
}

TEST(CpuTimeScaler, ABlockIsScaledByItsOwnTimeAlone) {
  CpuTimeScaler scaler;

  scaler.Apply(At(0), KernelTotal(kThread, 0, /*baseline=*/true));
  scaler.Add(At(500), kServer, kThread, kName, kHash, kPeriod);
  scaler.Apply(At(1000), KernelTotal(kThread, 8));
  scaler.Add(At(1500), kServer, kThread, kName, kSort, kPeriod);
  scaler.Apply(At(2000), KernelTotal(kThread, 40));
  scaler.Finish(At(2000));

  const std::vector<CpuTimeRow> rows = scaler.TakeRows();
  EXPECT_EQ(TotalOf(rows, kHash), milliseconds(8));
  EXPECT_EQ(TotalOf(rows, kSort), milliseconds(32));
}

TEST(CpuTimeScaler, TimeOfABlockWithoutSamplesWaitsForTheNext) {
  CpuTimeScaler scaler;

  scaler.Apply(At(0), KernelTotal(kThread, 0, /*baseline=*/true));
  scaler.Apply(At(1000), KernelTotal(kThread, 4));
  scaler.Add(At(1500), kServer, kThread, kName, kHash, kPeriod);
  scaler.Apply(At(2000), KernelTotal(kThread, 9));
  scaler.Finish(At(2000));

  EXPECT_EQ(TotalOf(scaler.TakeRows(), kHash), milliseconds(9));
}

TEST(CpuTimeScaler, AThreadThatRanUnseenIsSaidToHaveRun) {
  CpuTimeScaler scaler;

  scaler.Apply(At(0), KernelTotal(kThread, 0, /*baseline=*/true));
  scaler.Apply(At(1000), KernelTotal(kThread, 6));
  scaler.Finish(At(1000));

  const std::vector<CpuTimeRow> rows = scaler.TakeRows();
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_FALSE(rows[0].stack.valid());
  EXPECT_EQ(rows[0].samples, 0);
  EXPECT_EQ(rows[0].time, milliseconds(6));
}

// Ten threads of 5 ms each; the clock of 10 ms met four of them.
TEST(CpuTimeScaler, ShortLivedThreadsOfOneNameAreScaledTogether) {
  CpuTimeScaler scaler;

  for (int i = 0; i < 10; ++i) {
    const Tid tid{200 + i};
    scaler.Apply(At(i * 10), Started(tid), kName);
    if (i < 4) {
      scaler.Add(At(i * 10 + 1), kServer, tid, kName, i == 0 ? kSort : kHash, kPeriod);
    }
    scaler.Apply(At(i * 10 + 5), ThreadExited{kServer, tid});
    scaler.Apply(At(i * 10 + 6), KernelTotal(tid, 5));
  }
  scaler.Finish(At(200));

  const std::vector<CpuTimeRow> rows = scaler.TakeRows();
  EXPECT_EQ(TotalOf(rows, StackIndex()), milliseconds(0));
  EXPECT_EQ(TotalOf(rows, kHash), Nanoseconds(37'500'000));
  EXPECT_EQ(TotalOf(rows, kSort), Nanoseconds(12'500'000));
}

TEST(CpuTimeScaler, OnlySoManyShortLivedThreadsKeepRowsOfTheirOwn) {
  CpuTimeScaler scaler;

  for (int i = 0; i < 200; ++i) {
    const Tid tid{1000 + i};
    scaler.Apply(At(i), Started(tid), kName);
    scaler.Add(At(i), kServer, tid, kName, kHash, kPeriod);
    scaler.Apply(At(i), ThreadExited{kServer, tid});
    scaler.Apply(At(i), KernelTotal(tid, 5));
  }
  scaler.Finish(At(300));

  int singled = 0;
  const std::vector<CpuTimeRow> rows = scaler.TakeRows();
  for (const CpuTimeRow& row : rows) {
    singled += row.tid != kNoTid ? 1 : 0;
    EXPECT_EQ(row.pid, kServer);
  }
  EXPECT_EQ(singled, CpuTimeScaler::kMaxSingled);
  EXPECT_EQ(TotalOf(rows, kHash), milliseconds(1000));
  EXPECT_EQ(SamplesOf(rows), 200);
}

TEST(CpuTimeScaler, ANumberThatIsUsedAgainIsAnotherThread) {
  CpuTimeScaler scaler;

  scaler.Apply(At(0), Started(kThread), kName);
  scaler.Apply(At(1), KernelTotal(kThread, 700));
  scaler.Apply(At(2), Started(kThread), StringIndex(2));
  scaler.Add(At(3), kServer, kThread, StringIndex(2), kHash, kPeriod);
  scaler.Apply(At(4), ThreadExited{kServer, kThread});
  scaler.Apply(At(5), KernelTotal(kThread, 3));
  scaler.Finish(At(6));

  const std::vector<CpuTimeRow> rows = scaler.TakeRows();
  EXPECT_EQ(TotalOf(rows, kHash), milliseconds(3));
  EXPECT_EQ(TotalOf(rows, StackIndex()), milliseconds(700));
}

TEST(CpuTimeScaler, ASwitchOutWithoutItsSwitchInCountsNothing) {
  CpuTimeScaler scaler;

  scaler.Apply(At(50), SwitchOut{kServer, kThread});
  scaler.Finish(At(60));

  EXPECT_TRUE(scaler.TakeRows().empty());
}

}  // namespace
}  // namespace whyslow
