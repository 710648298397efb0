#include "sampler/perf/event_order.h"

#include <algorithm>
#include <utility>

namespace whyslow {
namespace {

constexpr Nanoseconds kLongestWayToTheRing = std::chrono::milliseconds(10);

}  // namespace

void EventOrder::Add(Event event) {
  Pending pending{.when = event.when, .what = SwitchIn{}};
  if (const auto* in = std::get_if<SwitchIn>(&event.what)) {
    pending.what = *in;
  } else if (const auto* out = std::get_if<SwitchOut>(&event.what)) {
    pending.what = *out;
  } else {
    pending.what = std::make_unique<Event>(std::move(event));
  }
  pending_.push_back(std::move(pending));
}

void EventOrder::EndRound(Instant round_began) {
  if (round_began - last_round_began_ >= kLongestWayToTheRing) {
    horizon_ = std::exchange(last_round_began_, round_began);
  }
}

void EventOrder::EndAll() { horizon_ = Instant::max(); }

void EventOrder::Sort() {
  if (sorted_ == pending_.size()) {
    return;
  }
  const auto earlier = [](const Pending& a, const Pending& b) { return a.when < b.when; };
  const auto middle = pending_.begin() + static_cast<std::ptrdiff_t>(sorted_);
  // Stable: of two events with one time stamp the one that was added first comes first.
  std::stable_sort(middle, pending_.end(), earlier);
  std::inplace_merge(pending_.begin() + static_cast<std::ptrdiff_t>(released_), middle,
                     pending_.end(), earlier);
  sorted_ = pending_.size();
}

bool EventOrder::Release(std::vector<Event>& out, size_t most) {
  Sort();
  for (; released_ < pending_.size() && pending_[released_].when < horizon_; ++released_) {
    if (most-- == 0) {
      return true;
    }
    Pending& pending = pending_[released_];
    if (pending.when < last_left_) {
      pending.when = last_left_;
      ++late_events_;
    }
    last_left_ = pending.when;
    if (auto* whole = std::get_if<std::unique_ptr<Event>>(&pending.what)) {
      out.push_back(std::move(**whole));
      out.back().when = pending.when;
      whole->reset();
    } else if (const auto* in = std::get_if<SwitchIn>(&pending.what)) {
      out.push_back({.when = pending.when, .what = *in});
    } else {
      out.push_back({.when = pending.when, .what = std::get<SwitchOut>(pending.what)});
    }
  }
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(released_));
  sorted_ -= released_;
  released_ = 0;
  return false;
}

}  // namespace whyslow
