// The hand-over between the reader thread and the worker, bounded in bytes.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <vector>

#include "sampler/event.h"

namespace whyslow {

// Shedding order under load: above `shorten_above` bytes stack copies are cut to 1 KiB, above
// `drop_above` samples are dropped; mappings, starts, ends and names are never dropped, because
// every later stack depends on them. Each loss is counted and arrives as an EventsLost behind its
// batch.
class EventQueue {
 public:
  struct Limits {
    size_t shorten_above = size_t{12} << 20;
    size_t drop_above = size_t{20} << 20;
    // A recording can wait, the kernel cannot: Push blocks above `shorten_above`, nothing is shed.
    bool wait_instead = false;
  };

  EventQueue() : EventQueue(Limits{}) {}
  explicit EventQueue(Limits limits) : limits_(limits) {}

  // Called on the reader thread only. Never blocks for longer than a swap of pointers, unless the
  // limits say so.
  void Push(std::vector<Event> batch);
  // No more will be pushed; Pop returns what is left, then false.
  void Close();
  // Called on the worker thread only; waits. False: closed and empty.
  bool Pop(std::vector<Event>& batch);

  // Bytes that wait; any thread.
  size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  struct Batch {
    std::vector<Event> events;
    size_t bytes = 0;
  };
  void Shed(std::vector<Event>& events) const;

  const Limits limits_;
  std::atomic<size_t> bytes_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Batch> batches_;  // guarded by mutex_
  bool closed_ = false;        // guarded by mutex_
};

}  // namespace whyslow
