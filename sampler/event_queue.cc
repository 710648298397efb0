#include "sampler/event_queue.h"

#include <algorithm>
#include <utility>

namespace whyslow {
namespace {

constexpr size_t kShortStack = 1024;

template <class HasStack>
size_t BytesOfStack(const HasStack& event) {
  return event.stack.capacity() +
         (event.kernel_callchain.capacity() + event.user_callchain.capacity()) *
             sizeof(RuntimeAddress);
}

size_t BytesOf(const Event& event) {
  size_t bytes = sizeof(Event);
  if (const auto* sample = std::get_if<StackSample>(&event.what)) {
    bytes += BytesOfStack(*sample);
  } else if (const auto* wait = std::get_if<WaitStack>(&event.what)) {
    bytes += BytesOfStack(*wait);
  }
  return bytes;
}

size_t BytesOf(const std::vector<Event>& events) {
  size_t bytes = 0;
  for (const Event& event : events) {
    bytes += BytesOf(event);
  }
  return bytes;
}

bool IsSample(const Event& event) { return std::holds_alternative<StackSample>(event.what); }
bool IsWaitStack(const Event& event) { return std::holds_alternative<WaitStack>(event.what); }

}  // namespace

void EventQueue::Shed(std::vector<Event>& events) const {
  const size_t waiting = bytes();
  if (waiting <= limits_.shorten_above || events.empty()) {
    return;
  }
  const Instant when = events.back().when;
  if (waiting > limits_.drop_above) {
    const size_t dropped = std::erase_if(events, IsSample);
    const size_t stacks = std::erase_if(events, IsWaitStack);
    if (dropped > 0) {
      events.push_back({when, EventsLost{LossKind::kSampleShed, dropped}});
    }
    if (stacks > 0) {
      events.push_back({when, EventsLost{LossKind::kWaitStack, stacks}});
    }
    return;
  }
  uint64_t shortened = 0;
  for (Event& event : events) {
    auto* sample = std::get_if<StackSample>(&event.what);
    if (sample != nullptr && sample->stack.size() > kShortStack) {
      sample->stack =
          std::vector<std::byte>(sample->stack.begin(), sample->stack.begin() + kShortStack);
      sample->stack_was_shortened = true;
      ++shortened;
    }
  }
  if (shortened > 0) {
    events.push_back({when, EventsLost{LossKind::kStackShortened, shortened}});
  }
}

void EventQueue::Push(std::vector<Event> batch) {
  if (limits_.wait_instead) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return bytes() <= limits_.shorten_above; });
  } else {
    Shed(batch);
  }
  if (batch.empty()) {
    return;
  }
  const size_t size = BytesOf(batch);
  bytes_.fetch_add(size, std::memory_order_relaxed);
  {
    const std::lock_guard lock(mutex_);
    batches_.push_back({std::move(batch), size});
  }
  changed_.notify_one();
}

void EventQueue::Close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  changed_.notify_one();
}

bool EventQueue::Pop(std::vector<Event>& batch) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return closed_ || !batches_.empty(); });
  if (batches_.empty()) {
    return false;
  }
  batch = std::move(batches_.front().events);
  bytes_.fetch_sub(batches_.front().bytes, std::memory_order_relaxed);
  batches_.pop_front();
  changed_.notify_one();
  return true;
}

}  // namespace whyslow
