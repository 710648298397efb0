#include "sampler/perf/wait_ledger.h"

#include <gmock/gmock.h>

namespace whyslow {
namespace {

using std::chrono::milliseconds;
using testing::IsEmpty;
using testing::SizeIs;

constexpr Pid kProcess{1};
constexpr Tid kA{1};
constexpr Tid kB{2};
constexpr int32_t kRead = 0;
constexpr int32_t kFutex = 202;

Instant At(int milliseconds_of_test) { return Instant(milliseconds(milliseconds_of_test)); }

class WaitLedgerTest : public testing::Test {
 protected:
  void Out(Tid tid, int when) { ledger_.SwitchedOut(kProcess, tid, false, At(when)); }
  void Preempt(Tid tid, int when) { ledger_.SwitchedOut(kProcess, tid, true, At(when)); }
  void In(Tid tid, int when) { ledger_.SwitchedIn(kProcess, tid, At(when)); }

  static StopSeen Stop(Tid tid, int when, int32_t call, uint64_t sp) {
    StopSeen seen{.when = At(when)};
    seen.stack.pid = kProcess;
    seen.stack.tid = tid;
    seen.stack.system_call = call;
    seen.stack.registers.emplace();
    seen.stack.registers->Set(seen.stack.registers->sp_number(), sp);
    seen.stack.registers->Set(seen.stack.registers->pc_number(), 0x1000);
    return seen;
  }
  // With a stack of one word.
  static StopSeen Copy(Tid tid, int when, int32_t call, uint64_t sp, uint8_t word = 7) {
    StopSeen seen = Stop(tid, when, call, sp);
    seen.stack.stack.assign(8, std::byte{word});
    seen.has_copy = true;
    return seen;
  }
  void Saw(StopSeen seen) { ledger_.Saw(std::move(seen), false); }
  void Looked(StopSeen seen) { ledger_.Saw(std::move(seen), true); }

  void Take(int when) {
    std::vector<Event> events;
    ledger_.SettleUntil(At(when));
    ledger_.Take(At(when), events);
    Sort(events);
  }
  void Finish(int when) {
    std::vector<Event> events;
    ledger_.Finish(At(when), events);
    Sort(events);
  }
  void Sort(std::vector<Event>& events) {
    for (Event& event : events) {
      if (auto* waits = std::get_if<WaitsEnded>(&event.what)) {
        waits_.push_back(*waits);
      } else if (auto* stack = std::get_if<WaitStack>(&event.what)) {
        stacks_.push_back(*stack);
      } else if (auto* lost = std::get_if<EventsLost>(&event.what)) {
        EXPECT_EQ(lost->kind, LossKind::kWaitStack);
        borrowed_ += lost->count;
      }
    }
  }

  // Milliseconds of all waits told for which it holds.
  template <class Holds>
  double Time(const Holds& holds) const {
    double sum = 0;
    for (const WaitsEnded& waits : waits_) {
      sum += holds(waits) ? static_cast<double>(waits.times.total) / 1e6 : 0;
    }
    return sum;
  }
  double TimeOf(Tid tid) const {
    return Time([tid](const WaitsEnded& waits) { return waits.tid == tid; });
  }
  double TimeIn(int32_t call) const {
    return Time([call](const WaitsEnded& waits) { return waits.system_call == call; });
  }
  uint64_t Count() const {
    uint64_t sum = 0;
    for (const WaitsEnded& waits : waits_) {
      sum += waits.times.count;
    }
    return sum;
  }

  WaitLedger ledger_{At(0)};
  std::vector<WaitsEnded> waits_;
  std::vector<WaitStack> stacks_;
  uint64_t borrowed_ = 0;
};

// = runs   _ does not
TEST_F(WaitLedgerTest, EachWaitCountsFromSwitchToSwitch) {
  ledger_.Found(kProcess, kA);
  In(kA, 0);
  Out(kA, 10);  // ==========_____==__________=
  In(kA, 15);
  Out(kA, 17);
  In(kA, 27);
  Finish(30);

  EXPECT_EQ(Count(), 2);
  EXPECT_DOUBLE_EQ(TimeOf(kA), 15);
  ASSERT_THAT(waits_, SizeIs(1));
  EXPECT_EQ(waits_[0].times.max, 10'000'000);
}

TEST_F(WaitLedgerTest, WhoSleptAtTheAttachWaitsFromThen) {
  ledger_.Found(kProcess, kA);
  ledger_.Found(kProcess, kB);
  In(kA, 40);   // ________====
  Out(kB, 30);  // ======______
  Finish(60);

  EXPECT_DOUBLE_EQ(TimeOf(kA), 40);
  EXPECT_DOUBLE_EQ(TimeOf(kB), 30);
}

TEST_F(WaitLedgerTest, WhatWasBeforeTheBeginningDoesNotCount) {
  ledger_.Found(kProcess, kA);
  Out(kA, -20);
  In(kA, -10);
  Out(kA, -5);
  In(kA, 8);
  Finish(10);

  EXPECT_EQ(Count(), 1);
  EXPECT_DOUBLE_EQ(TimeOf(kA), 8);
}

TEST_F(WaitLedgerTest, AWaitUnderWayIsClosedAtTheEndAndSaysSo) {
  ledger_.Found(kProcess, kA);
  Out(kA, 10);
  Finish(100);

  ASSERT_THAT(waits_, SizeIs(1));
  EXPECT_EQ(waits_[0].still_waiting, 1);
  EXPECT_DOUBLE_EQ(TimeOf(kA), 90);
}

TEST_F(WaitLedgerTest, WhoNeverSwitchedSleptOrRanAsItsAccountSays) {
  ledger_.Found(kProcess, kA);
  ledger_.Found(kProcess, kB);
  for (const Tid tid : {kA, kB}) {
    ledger_.Account({.pid = kProcess, .tid = tid, .total = milliseconds(5), .is_baseline = true},
                    At(0));
  }
  ledger_.Account({.pid = kProcess, .tid = kB, .total = milliseconds(104)}, At(100));
  Finish(100);

  EXPECT_DOUBLE_EQ(TimeOf(kA), 100);
  EXPECT_DOUBLE_EQ(TimeOf(kB), 0);
}

TEST_F(WaitLedgerTest, PreemptionAndTheWayToTheFirstRunAreKeptApart) {
  ledger_.Started(kProcess, kB, At(10));
  In(kB, 12);
  Preempt(kB, 20);
  In(kB, 25);
  Out(kB, 30);
  In(kB, 40);
  Take(50);

  const auto time_of = [this](OffCpu why) {
    return Time([why](const WaitsEnded& waits) { return waits.why == why; });
  };
  EXPECT_DOUBLE_EQ(time_of(OffCpu::kRunnable), 2);
  EXPECT_DOUBLE_EQ(time_of(OffCpu::kPreempted), 5);
}

TEST_F(WaitLedgerTest, AnEndedThreadWaitsNoMore) {
  ledger_.Found(kProcess, kA);
  In(kA, 5);
  ledger_.Exited(kA, At(7));
  Out(kA, 8);
  Finish(100);

  EXPECT_DOUBLE_EQ(TimeOf(kA), 5);
}

TEST_F(WaitLedgerTest, AThreadNumberMayBeUsedAgain) {
  ledger_.Started(kProcess, kB, At(0));
  In(kB, 1);
  ledger_.Exited(kB, At(2));
  ledger_.Started(kProcess, kB, At(50));
  In(kB, 51);
  Out(kB, 60);
  Finish(70);

  EXPECT_DOUBLE_EQ(TimeOf(kB), 1 + 1 + 10);
}

TEST_F(WaitLedgerTest, TheMainThreadGoesOnAfterExecByAnother) {
  ledger_.Found(kProcess, kA);
  In(kA, 0);
  ledger_.Exited(kA, At(5));
  ledger_.Execed(kProcess, At(6));
  Out(kA, 10);
  In(kA, 20);
  Finish(30);

  EXPECT_DOUBLE_EQ(TimeOf(kA), 10);
}

TEST_F(WaitLedgerTest, ACopyIsOfTheStopThatFollowsIt) {
  ledger_.Found(kProcess, kA);
  In(kA, 0);
  Saw(Copy(kA, 9, kRead, 0x100));
  Saw(Copy(kA, 19, kFutex, 0x200));
  Out(kA, 10);
  In(kA, 15);
  Out(kA, 20);
  In(kA, 22);
  Take(30);

  ASSERT_THAT(stacks_, SizeIs(2));
  EXPECT_NE(stacks_[0].id, stacks_[1].id);
  EXPECT_DOUBLE_EQ(TimeIn(kRead), 5);
  EXPECT_DOUBLE_EQ(TimeIn(kFutex), 2);
  EXPECT_EQ(borrowed_, 0);
}

TEST_F(WaitLedgerTest, AnEqualStackIsToldOnce) {
  ledger_.Found(kProcess, kA);
  In(kA, 0);
  for (int i = 1; i <= 5; ++i) {
    Saw(Copy(kA, 10 * i, kRead, 0x100));
    Out(kA, 10 * i + 1);
    In(kA, 10 * i + 3);
  }
  Take(100);

  ASSERT_THAT(stacks_, SizeIs(1));
  ASSERT_THAT(waits_, SizeIs(1));
  EXPECT_EQ(waits_[0].stack, stacks_[0].id);
  EXPECT_EQ(waits_[0].times.count, 5);
}

TEST_F(WaitLedgerTest, AnotherCallerMakesAnotherStackOfOnePlace) {
  ledger_.Found(kProcess, kA);
  In(kA, 0);
  Saw(Copy(kA, 10, kRead, 0x100, 7));
  Out(kA, 11);
  In(kA, 12);
  Saw(Copy(kA, 20, kRead, 0x100, 8));
  Out(kA, 21);
  In(kA, 22);
  Take(30);

  EXPECT_THAT(stacks_, SizeIs(2));
}

TEST_F(WaitLedgerTest, AStopWithoutACopyTakesTheStackOfOneAtTheSamePlace) {
  ledger_.Found(kProcess, kA);
  In(kA, 0);
  Saw(Copy(kA, 10, kRead, 0x100));
  Out(kA, 11);
  In(kA, 12);
  Saw(Copy(kA, 20, kFutex, 0x200));
  Out(kA, 21);
  In(kA, 22);
  Saw(Stop(kA, 30, kRead, 0x100));
  Out(kA, 31);
  In(kA, 38);
  Take(40);

  EXPECT_DOUBLE_EQ(TimeIn(kRead), 1 + 7);
  EXPECT_DOUBLE_EQ(TimeIn(kFutex), 1);
  EXPECT_EQ(borrowed_, 1);
  EXPECT_THAT(waits_, SizeIs(2));
}

TEST_F(WaitLedgerTest, AWaitThatNobodySawBorrowsFromThoseAboutAsLong) {
  ledger_.Found(kProcess, kA);
  In(kA, 0);
  Saw(Copy(kA, 1, kRead, 0x100));
  Out(kA, 1);
  In(kA, 2);
  Saw(Copy(kA, 3, kFutex, 0x200));
  Out(kA, 3);
  In(kA, 103);
  for (int i = 0; i < 5; ++i) {
    Out(kA, 200 + 200 * i);
    In(kA, 201 + 200 * i);
    Out(kA, 210 + 200 * i);
    In(kA, 300 + 200 * i);
  }
  Take(2000);

  EXPECT_DOUBLE_EQ(TimeIn(kRead), 6);
  EXPECT_DOUBLE_EQ(TimeIn(kFutex), 100 + 5 * 90);
  EXPECT_EQ(borrowed_, 10);
}

TEST_F(WaitLedgerTest, OfTwoCallersOfOnePlaceTheOneBorrowsThatWaitsAboutAsLong) {
  ledger_.Found(kProcess, kA);
  In(kA, 0);
  Saw(Copy(kA, 1, kRead, 0x100, 7));
  Out(kA, 1);
  In(kA, 2);
  Saw(Copy(kA, 3, kRead, 0x100, 8));
  Out(kA, 3);
  In(kA, 103);
  for (int i = 1; i <= 5; ++i) {
    Saw(Stop(kA, 200 * i, kRead, 0x100));
    Out(kA, 200 * i);
    In(kA, 200 * i + 1);
    Saw(Stop(kA, 200 * i + 10, kRead, 0x100));
    Out(kA, 200 * i + 10);
    In(kA, 200 * i + 110);
  }
  Take(2000);

  ASSERT_THAT(stacks_, SizeIs(2));
  const auto time_on = [this](WaitStackId id) {
    return Time([id](const WaitsEnded& waits) { return waits.stack == id; });
  };
  EXPECT_DOUBLE_EQ(time_on(stacks_[0].id), 6);
  EXPECT_DOUBLE_EQ(time_on(stacks_[1].id), 600);
  EXPECT_EQ(borrowed_, 10);
}

TEST_F(WaitLedgerTest, WaitsBeforeTheFirstThatWasSeenAreNotLost) {
  ledger_.Found(kProcess, kA);
  In(kA, 0);
  Out(kA, 1);
  In(kA, 3);
  Take(4);
  EXPECT_THAT(waits_, IsEmpty());
  Saw(Copy(kA, 5, kRead, 0x100));
  Out(kA, 5);
  In(kA, 7);
  Take(10);

  EXPECT_DOUBLE_EQ(TimeIn(kRead), 4);
}

TEST_F(WaitLedgerTest, NothingSeenAtAllStillGivesAllOfTheTime) {
  ledger_.Found(kProcess, kA);
  In(kA, 0);
  Out(kA, 1);
  In(kA, 3);
  Finish(10);

  EXPECT_DOUBLE_EQ(TimeOf(kA), 2);
  EXPECT_EQ(waits_[0].stack, kNoWaitStack);
}

TEST_F(WaitLedgerTest, ALookIsOfTheWaitItFellInto) {
  ledger_.Found(kProcess, kA);
  In(kA, 0);
  Out(kA, 10);
  Looked(Copy(kA, 50, kRead, 0x100));
  Take(40);
  EXPECT_THAT(stacks_, IsEmpty());
  Take(60);
  EXPECT_THAT(stacks_, SizeIs(1));
  In(kA, 100);
  Take(110);

  EXPECT_DOUBLE_EQ(TimeIn(kRead), 90);
  EXPECT_EQ(borrowed_, 0);
}

TEST_F(WaitLedgerTest, ALookAtAThreadThatRanIsOfNoWait) {
  ledger_.Found(kProcess, kA);
  In(kA, 0);
  Looked(Copy(kA, 5, kRead, 0x100));
  Out(kA, 10);
  In(kA, 20);
  Finish(30);

  EXPECT_DOUBLE_EQ(TimeIn(kRead), 0);
  EXPECT_DOUBLE_EQ(TimeOf(kA), 10);
}

TEST_F(WaitLedgerTest, ALookCompletesAStopWhoseStackWasNotCopied) {
  ledger_.Found(kProcess, kA);
  In(kA, 0);
  StopSeen stop = Stop(kA, 9, kRead, 0x100);
  stop.stack.registers->Set(3, 0xbb);
  Saw(std::move(stop));
  Out(kA, 10);
  Looked(Copy(kA, 50, kRead, 0x100));
  Take(60);

  ASSERT_THAT(stacks_, SizeIs(1));
  EXPECT_THAT(stacks_[0].stack, SizeIs(8));
  EXPECT_EQ(stacks_[0].registers->Get(3), 0xbb);
}

TEST_F(WaitLedgerTest, ThoseThatWaitLongestWithoutAStackAreNamedFirstAndOnce) {
  for (const Tid tid : {kA, kB}) {
    ledger_.Found(kProcess, tid);
    In(tid, 0);
  }
  Out(kB, 10);
  Out(kA, 50);
  ledger_.SettleUntil(At(100));

  const auto first = ledger_.TakeUnseen(1);
  ASSERT_THAT(first, SizeIs(1));
  EXPECT_EQ(first[0].tid, kB);
  const auto rest = ledger_.TakeUnseen(10);
  ASSERT_THAT(rest, SizeIs(1));
  EXPECT_EQ(rest[0].tid, kA);
  EXPECT_THAT(ledger_.TakeUnseen(10), IsEmpty());
}

// The second "in" of ==__=?=__= is lost; the account says what ran.
TEST_F(WaitLedgerTest, AnAccountOfRunTimeFillsTheGapOfALostSwitch) {
  ledger_.Found(kProcess, kA);
  ledger_.Account({.pid = kProcess, .tid = kA, .total = milliseconds(0), .is_baseline = true},
                  At(0));
  In(kA, 10);
  Out(kA, 20);
  Out(kA, 60);
  In(kA, 80);
  ledger_.Account({.pid = kProcess, .tid = kA, .total = milliseconds(50)}, At(100));
  Finish(100);

  EXPECT_DOUBLE_EQ(TimeOf(kA), 50);
}

TEST_F(WaitLedgerTest, WhatTheKernelChargesForWakingUpIsNoRunTime) {
  const auto account = [this](int total, int when) {
    return ledger_.Account({.pid = kProcess, .tid = kA, .total = milliseconds(total)}, At(when));
  };
  ledger_.Found(kProcess, kA);
  EXPECT_EQ(account(7, 0), milliseconds(7));
  In(kA, 0);
  Out(kA, 10);
  EXPECT_EQ(account(22, 20), milliseconds(17));
  In(kA, 20);
  // The kernel's total may be some milliseconds old: the next one makes up for it.
  EXPECT_EQ(account(24, 25), milliseconds(22));
  Out(kA, 30);
  EXPECT_EQ(account(26, 40), milliseconds(26));
  // Where a switch was lost only the kernel knows.
  Out(kA, 50);
  EXPECT_EQ(account(30, 60), milliseconds(30));
}

TEST_F(WaitLedgerTest, LateCopiesStillSayWhatAPlaceLooksLike) {
  ledger_.Found(kProcess, kA);
  In(kA, 0);
  Out(kA, 10);
  In(kA, 11);
  Saw(Copy(kA, 9, kRead, 0x100));
  Take(15);
  Saw(Stop(kA, 20, kRead, 0x100));
  Out(kA, 21);
  In(kA, 25);
  Finish(30);

  ASSERT_THAT(stacks_, SizeIs(1));
  const auto with_stack = [this](const WaitsEnded& waits) { return waits.stack == stacks_[0].id; };
  EXPECT_DOUBLE_EQ(Time(with_stack), 4);
}

TEST(ProcessCode, OnlyWordsThatLieInCodeCount) {
  ProcessCode code;
  code.Add(kProcess, RuntimeAddress(0x1000), 0x1000);
  const auto hash = [&code](Pid pid, std::vector<uint64_t> words) {
    return code.HashOfCodeWords(pid, std::as_bytes(std::span(words)));
  };

  EXPECT_EQ(hash(kProcess, {0x1234, 5, 0x1500}), hash(kProcess, {0x1234, 6, 0x1500}));
  EXPECT_NE(hash(kProcess, {0x1234, 5, 0x1500}), hash(kProcess, {0x1234, 5, 0x1501}));
  EXPECT_NE(hash(kProcess, {0x1234, 5}), hash(kProcess, {5, 0x1234}));
  code.Fork(kProcess, Pid{2});
  code.Add(Pid{2}, RuntimeAddress(0x2000), 0x1000);
  EXPECT_NE(hash(Pid{2}, {0x2500}), hash(Pid{2}, {0x2501}));
  EXPECT_EQ(hash(kProcess, {0x2500}), hash(kProcess, {0x2501}));
}

}  // namespace
}  // namespace whyslow
