#include "sampler/perf/target_set.h"

#include <gtest/gtest.h>

namespace whyslow {
namespace {

Event ThreadStart(int pid, int tid, int parent_pid) {
  return {.what = ThreadStarted{.pid = Pid{pid}, .tid = Tid{tid}, .parent_pid = Pid{parent_pid}}};
}
Event Exit(int pid, int tid) { return {.what = ThreadExited{.pid = Pid{pid}, .tid = Tid{tid}}}; }
Event Sample(int pid) { return {.what = StackSample{.pid = Pid{pid}}}; }
Event Exec(int pid, int tid) {
  return {.what = ThreadNamed{.pid = Pid{pid}, .tid = Tid{tid}, .exec = true}};
}

TargetSet Process10(bool follow_children = true) {
  TargetSet targets(follow_children);
  targets.AddProcess(Pid{10});
  targets.Apply({.what = ThreadStarted{.pid = Pid{10}, .tid = Tid{10}}});
  return targets;
}

TEST(TargetSet, OnlyTheTargetsEventsAreKept) {
  TargetSet targets = Process10();

  EXPECT_TRUE(targets.Apply(Sample(10)));
  EXPECT_FALSE(targets.Apply(Sample(11)));
}

TEST(TargetSet, LossesConcernEverybody) {
  EXPECT_TRUE(Process10().Apply({.what = EventsLost{.count = 1}}));
}

TEST(TargetSet, ChildrenAndGrandchildrenAreFollowed) {
  TargetSet targets = Process10();

  EXPECT_TRUE(targets.Apply(ThreadStart(20, 20, /*parent_pid=*/10)));
  EXPECT_TRUE(targets.Apply(ThreadStart(30, 30, /*parent_pid=*/20)));
  EXPECT_TRUE(targets.Apply(Sample(30)));
}

TEST(TargetSet, ChildrenAreLeftOutWhereNotWanted) {
  TargetSet targets = Process10(/*follow_children=*/false);

  EXPECT_FALSE(targets.Apply(ThreadStart(20, 20, /*parent_pid=*/10)));
  EXPECT_FALSE(targets.Apply(Sample(20)));
}

TEST(TargetSet, ThreadsBelongToTheProcessEvenWithoutChildren) {
  TargetSet targets = Process10(/*follow_children=*/false);

  EXPECT_TRUE(targets.Apply(ThreadStart(10, 11, /*parent_pid=*/10)));
}

TEST(TargetSet, OtherProcessesChildrenStayOut) {
  TargetSet targets = Process10();

  EXPECT_FALSE(targets.Apply(ThreadStart(50, 50, /*parent_pid=*/40)));
}

TEST(TargetSet, AProcessEndsWithItsLastThread) {
  TargetSet targets = Process10();
  targets.Apply(ThreadStart(10, 11, /*parent_pid=*/10));

  EXPECT_TRUE(targets.Apply(Exit(10, 10)));
  EXPECT_FALSE(targets.empty());
  EXPECT_TRUE(targets.Apply(Exit(10, 11)));
  EXPECT_TRUE(targets.empty());
}

TEST(TargetSet, AChildOutlivesItsParent) {
  TargetSet targets = Process10();
  targets.Apply(ThreadStart(20, 20, /*parent_pid=*/10));
  targets.Apply(Exit(10, 10));

  EXPECT_TRUE(targets.Apply(Sample(20)));
  EXPECT_FALSE(targets.Apply(Sample(10)));
}

TEST(TargetSet, ANumberThatIsUsedAgainIsAStranger) {
  TargetSet targets = Process10();
  targets.Apply(Exit(10, 10));

  EXPECT_FALSE(targets.Apply(ThreadStart(10, 10, /*parent_pid=*/1)));
}

// The kernel gives the calling thread the main thread's number and reports no exit for its own.
TEST(TargetSet, AThreadThatExecsBecomesTheMainThread) {
  TargetSet targets = Process10();
  targets.Apply(ThreadStart(10, 11, /*parent_pid=*/10));
  targets.Apply(Exit(10, 10));

  EXPECT_TRUE(targets.Apply(Exec(10, 10)));
  EXPECT_TRUE(targets.Apply(Exit(10, 10)));
  EXPECT_TRUE(targets.empty());
}

}  // namespace
}  // namespace whyslow
