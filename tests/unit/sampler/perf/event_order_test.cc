#include "sampler/perf/event_order.h"

#include <gmock/gmock.h>

namespace whyslow {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Instant At(int milliseconds) { return Instant(std::chrono::milliseconds(milliseconds)); }

// The thread's number tells the events apart.
Event Started(int milliseconds, int tid) {
  return {.when = At(milliseconds), .what = ThreadStarted{.pid = Pid{1}, .tid = Tid{tid}}};
}

Tid TidOf(const Event& event) {
  if (const auto* started = std::get_if<ThreadStarted>(&event.what)) {
    return started->tid;
  }
  return std::get<SwitchOut>(event.what).tid;
}

std::vector<Tid> Released(EventOrder& order, size_t most = 100) {
  std::vector<Event> events;
  order.Release(events, most);
  std::vector<Tid> tids;
  for (const Event& event : events) {
    tids.push_back(TidOf(event));
  }
  return tids;
}

TEST(EventOrder, NothingLeavesAfterTheFirstRound) {
  EventOrder order;
  order.Add(Started(90, 1));
  order.EndRound(At(100));

  EXPECT_THAT(Released(order), IsEmpty());
}

TEST(EventOrder, TheNextRoundLetsGoWhatIsOlderThanTheOneBefore) {
  EventOrder order;
  order.Add(Started(97, 3));
  order.Add(Started(90, 1));
  order.Add(Started(103, 4));
  order.EndRound(At(100));
  order.Add(Started(95, 2));  // from a ring that was read later
  order.EndRound(At(150));

  EXPECT_THAT(Released(order), ElementsAre(Tid{1}, Tid{2}, Tid{3}));
}

TEST(EventOrder, RoundsCloseTogetherCountAsOne) {
  EventOrder order;
  order.EndRound(At(100));
  order.Add(Started(90, 1));
  order.EndRound(At(101));
  order.EndRound(At(102));

  EXPECT_THAT(Released(order), IsEmpty());
}

TEST(EventOrder, EventsOfOneTimeKeepTheirOrder) {
  EventOrder order;
  order.Add(Started(10, 2));
  order.Add(Started(10, 1));
  order.EndAll();

  EXPECT_THAT(Released(order), ElementsAre(Tid{2}, Tid{1}));
}

TEST(EventOrder, SwitchesAreKeptWhole) {
  EventOrder order;
  order.Add({.when = At(5), .what = SwitchOut{.pid = Pid{1}, .tid = Tid{2}, .preempted = true}});
  order.EndAll();
  std::vector<Event> events;
  order.Release(events, 100);

  ASSERT_EQ(events.size(), 1);
  EXPECT_EQ(events[0].when, At(5));
  EXPECT_TRUE(std::get<SwitchOut>(events[0].what).preempted);
}

TEST(EventOrder, ALimitedReleaseGoesOnWhereItStopped) {
  EventOrder order;
  order.Add(Started(1, 1));
  order.Add(Started(2, 2));
  order.Add(Started(3, 3));
  order.EndAll();

  EXPECT_THAT(Released(order, 2), ElementsAre(Tid{1}, Tid{2}));
  EXPECT_THAT(Released(order, 2), ElementsAre(Tid{3}));
}

TEST(EventOrder, ALateEventGetsTheTimeOfItsPredecessorAndIsCounted) {
  EventOrder order;
  order.Add(Started(10, 1));
  order.EndAll();
  Released(order);
  order.Add(Started(5, 2));
  std::vector<Event> events;
  order.Release(events, 100);

  ASSERT_EQ(events.size(), 1);
  EXPECT_EQ(events[0].when, At(10));
  EXPECT_EQ(order.late_events(), 1);
}

}  // namespace
}  // namespace whyslow
