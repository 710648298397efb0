#include "sampler/event_queue.h"

#include <gtest/gtest.h>

#include <thread>

namespace whyslow {
namespace {

Event SampleWithStack(size_t bytes) {
  StackSample sample;
  sample.stack.resize(bytes);
  return {Instant(), std::move(sample)};
}

Event Mapping() { return {Instant(), MappingAdded{.pid = Pid{1}, .path = "/bin/true"}}; }

std::vector<Event> Batch(Event a, Event b) {
  std::vector<Event> batch;
  batch.push_back(std::move(a));
  batch.push_back(std::move(b));
  return batch;
}

TEST(EventQueue, BatchesComeOutInOrderAndThenTheEnd) {
  EventQueue queue;
  queue.Push(Batch(SampleWithStack(1), Mapping()));
  queue.Push(Batch(Mapping(), Mapping()));
  queue.Close();

  std::vector<Event> out;
  ASSERT_TRUE(queue.Pop(out));
  EXPECT_TRUE(std::holds_alternative<StackSample>(out[0].what));
  ASSERT_TRUE(queue.Pop(out));
  EXPECT_TRUE(std::holds_alternative<MappingAdded>(out[0].what));
  EXPECT_FALSE(queue.Pop(out));
  EXPECT_EQ(queue.bytes(), 0u);
}

TEST(EventQueue, UnderLoadStacksAreCutFirstAndTheCutIsCounted) {
  EventQueue queue({.shorten_above = 10'000, .drop_above = 1'000'000});
  queue.Push(Batch(SampleWithStack(20'000), Mapping()));

  queue.Push(Batch(SampleWithStack(20'000), Mapping()));

  std::vector<Event> out;
  queue.Pop(out);
  EXPECT_EQ(std::get<StackSample>(out[0].what).stack.size(), 20'000u);
  queue.Pop(out);
  ASSERT_EQ(out.size(), 3u);
  EXPECT_EQ(std::get<StackSample>(out[0].what).stack.size(), 1024u);
  EXPECT_TRUE(std::get<StackSample>(out[0].what).stack_was_shortened);
  EXPECT_EQ(std::get<EventsLost>(out[2].what).kind, LossKind::kStackShortened);
  EXPECT_EQ(std::get<EventsLost>(out[2].what).count, 1u);
}

TEST(EventQueue, UnderMoreLoadSamplesGoButNeverMappings) {
  EventQueue queue({.shorten_above = 10, .drop_above = 10'000});
  queue.Push(Batch(SampleWithStack(20'000), Mapping()));

  queue.Push(Batch(SampleWithStack(20'000), Mapping()));

  std::vector<Event> out;
  queue.Pop(out);
  queue.Pop(out);
  ASSERT_EQ(out.size(), 2u);
  EXPECT_TRUE(std::holds_alternative<MappingAdded>(out[0].what));
  EXPECT_EQ(std::get<EventsLost>(out[1].what).kind, LossKind::kSampleShed);
  EXPECT_EQ(std::get<EventsLost>(out[1].what).count, 1u);
}

TEST(EventQueue, UnderMoreLoadStacksOfWaitsGoButNeverTheWaits) {
  EventQueue queue({.shorten_above = 10, .drop_above = 10'000});
  WaitStack stack;
  stack.stack.resize(20'000);
  std::vector<Event> first;
  first.push_back({.what = stack});
  queue.Push(std::move(first));
  std::vector<Event> second;
  second.push_back({.what = stack});
  second.push_back({.what = WaitsEnded{}});

  queue.Push(std::move(second));

  std::vector<Event> out;
  queue.Pop(out);
  queue.Pop(out);
  ASSERT_EQ(out.size(), 2u);
  EXPECT_TRUE(std::holds_alternative<WaitsEnded>(out[0].what));
  EXPECT_EQ(std::get<EventsLost>(out[1].what).kind, LossKind::kWaitStack);
  EXPECT_EQ(std::get<EventsLost>(out[1].what).count, 1u);
}

TEST(EventQueue, HandsOverBetweenThreadsWithoutLoss) {
  EventQueue queue;
  constexpr int kBatches = 1000;
  std::thread reader([&queue] {
    for (int i = 0; i < kBatches; ++i) {
      queue.Push(Batch(Mapping(), Mapping()));
    }
    queue.Close();
  });

  size_t events = 0;
  std::vector<Event> out;
  while (queue.Pop(out)) {
    events += out.size();
  }
  reader.join();

  EXPECT_EQ(events, 2u * kBatches);
}

}  // namespace
}  // namespace whyslow
