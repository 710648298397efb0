#include "sampler/perf/run_time_ledger.h"

#include <gtest/gtest.h>

namespace whyslow {
namespace {

using std::chrono::milliseconds;

Instant At(int milliseconds_of_test) { return Instant(milliseconds(milliseconds_of_test)); }

constexpr RunTimeLedger::Thread kA = {.pid = Pid{1}, .tid = Tid{1}};
constexpr RunTimeLedger::Thread kB = {.pid = Pid{1}, .tid = Tid{2}};
constexpr RunTimeLedger::Thread kUnknown = {};

// = runs   _ does not                0    5    10   15
TEST(RunTimeLedger, StretchesOnAllCpusAddUp) {
  RunTimeLedger ledger(2, At(0));  // CPU 0   =====_____
  ledger.SwitchedIn(0, kA, At(0));
  ledger.SwitchedOut(0, kA, At(5));
  ledger.SwitchedIn(1, kA, At(7));  // CPU 1   _______===
  ledger.SwitchedOut(1, kA, At(10));

  EXPECT_EQ(ledger.Close(kA.tid, At(10)), milliseconds(8));
}

TEST(RunTimeLedger, RingsMayBeReadOneAfterTheOther) {
  RunTimeLedger ledger(2, At(0));
  ledger.SwitchedIn(1, kA, At(7));
  ledger.SwitchedOut(1, kA, At(10));
  ledger.SwitchedIn(0, kA, At(1));
  ledger.SwitchedOut(0, kA, At(5));

  EXPECT_EQ(ledger.Close(kA.tid, At(10)), milliseconds(7));
}

TEST(RunTimeLedger, AThreadThatRanAllAlongCountsFromTheBeginning) {
  RunTimeLedger ledger(1, At(100));
  ledger.SwitchedOut(0, kA, At(103));

  EXPECT_EQ(ledger.Close(kA.tid, At(103)), milliseconds(3));
}

TEST(RunTimeLedger, TimeThatIsAccountedForIsNotCountedAgain) {
  RunTimeLedger ledger(1, At(100));
  ledger.CountFrom(kA.tid, At(102));
  ledger.SwitchedOut(0, kA, At(103));

  EXPECT_EQ(ledger.Close(kA.tid, At(103)), milliseconds(1));
}

TEST(RunTimeLedger, AnEndedThreadIsKnownByTheOneThatCameIn) {
  RunTimeLedger ledger(1, At(0));
  ledger.SwitchedIn(0, kA, At(0));

  EXPECT_EQ(ledger.SwitchedOut(0, kUnknown, At(4)).tid, kA.tid);
  EXPECT_EQ(ledger.Close(kA.tid, At(4)), milliseconds(4));
}

TEST(RunTimeLedger, AStretchWithoutASwitchOutEndsWithTheThread) {
  RunTimeLedger ledger(1, At(0));
  ledger.SwitchedIn(0, kA, At(0));
  ledger.SwitchedIn(0, kB, At(6));

  EXPECT_EQ(ledger.Close(kA.tid, At(5)), milliseconds(5));
}

TEST(RunTimeLedger, AfterALossNothingIsGuessed) {
  RunTimeLedger ledger(1, At(0));
  ledger.SwitchedIn(0, kA, At(0));
  ledger.Lost(0);
  ledger.SwitchedOut(0, kB, At(50));

  EXPECT_EQ(ledger.Close(kA.tid, At(60)), milliseconds(0));
  EXPECT_EQ(ledger.Close(kB.tid, At(60)), milliseconds(0));
}

TEST(RunTimeLedger, AThreadThatNeverRanHasNothing) {
  RunTimeLedger ledger(1, At(0));

  EXPECT_EQ(ledger.Close(kA.tid, At(5)), milliseconds(0));
}

}  // namespace
}  // namespace whyslow
