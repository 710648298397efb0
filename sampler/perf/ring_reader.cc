#include "sampler/perf/ring_reader.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

namespace whyslow {
namespace {

Pid PidOf(const Event& event) {
  return std::visit(
      [](const auto& what) {
        if constexpr (requires { what.pid; }) {
          return what.pid;
        } else {
          return kNoPid;
        }
      },
      event.what);
}

}  // namespace

RingReader::RingReader(PerfEventSet events, Options options)
    : events_(std::move(events)),
      options_(std::move(options)),
      run_times_(events_.cpus(), MonotonicClock::now()) {}

void RingReader::AddProcess(Pid pid) {
  if (wanted_.insert(pid).second) {
    new_processes_.push_back(pid);
  }
}

bool RingReader::IsWanted(const RecordOwner& owner) const {
  return owner.concerns_all || wanted_.contains(owner.pid);
}

RingReader::Woken RingReader::Wait(int wake, int other, Nanoseconds timeout) {
  const std::vector<EventRing>& rings = events_.rings();
  for (size_t i = polled_.size(); i < rings.size() + 2; ++i) {
    polled_.push_back({.fd = -1, .events = POLLIN, .revents = 0});
  }
  for (size_t i = 0; i < rings.size(); ++i) {
    // A thread's event hangs up when the thread ends, though its children go on writing into its
    // ring: that one is read by the timer.
    const bool is_awaited =
        rings[i].role != RingRole::kStops && rings[i].role != RingRole::kStopCopies;
    const bool hung_up =
        !is_awaited || (polled_[i].revents & (POLLHUP | POLLERR)) != 0 || polled_[i].events == 0;
    polled_[i] = {.fd = hung_up ? -1 : rings[i].ring.fd(),
                  .events = static_cast<int16_t>(hung_up ? 0 : POLLIN),
                  .revents = 0};
  }
  polled_[rings.size()] = {.fd = other, .events = POLLIN, .revents = 0};
  polled_.back() = {.fd = wake, .events = POLLIN, .revents = 0};
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(timeout).count();
  if (poll(polled_.data(), polled_.size(), static_cast<int>(std::max<int64_t>(left, 0))) <= 0) {
    return Woken::kTimeout;
  }
  if ((polled_.back().revents & POLLIN) != 0) {
    return Woken::kWake;
  }
  Woken woken = (polled_[rings.size()].revents & POLLIN) != 0 ? Woken::kOther : Woken::kTimeout;
  for (size_t i = 0; i < rings.size(); ++i) {
    if ((polled_[i].revents & POLLIN) != 0) {
      woken = rings[i].role == RingRole::kSideband ? std::max(woken, Woken::kSideband)
                                                   : Woken::kRingFills;
    }
  }
  return woken;
}

void RingReader::Accept(Event event, absl::flat_hash_set<Tid>* started) {
  Pid pid = PidOf(event);
  if (const auto* thread = std::get_if<ThreadStarted>(&event.what)) {
    if (options_.follow_children && wanted_.contains(thread->parent_pid)) {
      AddProcess(thread->pid);
    }
    if (started != nullptr) {
      started->insert(thread->tid);
    }
  }
  if (pid != kNoPid && !wanted_.contains(pid)) {
    return;
  }
  if (auto* mapping = std::get_if<MappingAdded>(&event.what)) {
    opener_.Open(*mapping);
  }
  if (options_.look) {
    options_.look(event);
  }
  order_.Add(std::move(event));
}

void RingReader::ReadSideband(absl::flat_hash_set<Tid>* started) {
  side_events_.clear();
  for (EventRing& ring : events_.rings()) {
    if (ring.role != RingRole::kSideband) {
      continue;
    }
    const uint64_t until = ring.ring.Head();
    for (auto record = ring.ring.Next(until); !record.empty(); record = ring.ring.Next(until)) {
      if (std::optional<Event> event = ParseRecord(record, ring.layout)) {
        side_events_.push_back(*std::move(event));
      }
    }
  }
  // In order, because whether a grandchild is wanted is known after its parent's fork only.
  std::stable_sort(side_events_.begin(), side_events_.end(),
                   [](const Event& a, const Event& b) { return a.when < b.when; });
  for (Event& event : side_events_) {
    Accept(std::move(event), started);
  }
}

void RingReader::Count(const EventRing& ring, Event& event, bool& wanted) {
  if (const auto* in = std::get_if<SwitchIn>(&event.what)) {
    if (wanted) {
      run_times_.SwitchedIn(ring.cpu_index, {.pid = in->pid, .tid = in->tid}, event.when);
    } else {
      run_times_.OtherSwitchedIn(ring.cpu_index);
    }
  } else if (auto* out = std::get_if<SwitchOut>(&event.what)) {
    const RunTimeLedger::Thread reported = {.pid = wanted ? out->pid : kNoPid,
                                            .tid = wanted ? out->tid : kNoTid};
    const auto thread = run_times_.SwitchedOut(ring.cpu_index, reported, event.when);
    out->pid = thread.pid;
    out->tid = thread.tid;
    wanted = thread.tid != kNoTid;
    switches_ += wanted ? 1 : 0;
  } else if (std::holds_alternative<EventsLost>(event.what) && ring.role == RingRole::kSwitches) {
    run_times_.Lost(ring.cpu_index);
    wanted = options_.switch_events || options_.waits;  // no sample was lost
    if (options_.waits) {
      auto& lost = std::get<EventsLost>(event.what);
      lost = {.kind = LossKind::kWait, .count = (lost.count + 1) / 2};  // a wait has two switches
    }
  }
}

void RingReader::ReadRing(EventRing& ring, uint64_t until) {
  for (auto record = ring.ring.Next(until); !record.empty(); record = ring.ring.Next(until)) {
    const RecordOwner owner = OwnerOf(record, ring.layout);
    bool wanted = IsWanted(owner);
    if (!wanted && !owner.is_switch) {
      continue;
    }
    std::optional<Event> event = ParseRecord(record, ring.layout);
    if (!event) {
      continue;
    }
    if (owner.is_switch || owner.concerns_all) {
      Count(ring, *event, wanted);
    }
    if (wanted && (!owner.is_switch || options_.switch_events || options_.waits)) {
      order_.Add(*std::move(event));
    }
  }
}

// What was lost here is no loss: the ring's size is the bound on the rate.
void RingReader::ReadStops(EventRing& ring, uint64_t until) {
  for (auto record = ring.ring.Next(until); !record.empty(); record = ring.ring.Next(until)) {
    if (!IsWanted(OwnerOf(record, ring.layout))) {
      continue;
    }
    std::optional<Event> event = ParseRecord(record, ring.layout);
    if (event && std::holds_alternative<WaitStack>(event->what)) {
      stops_.push_back(*std::move(event));
    }
  }
}

void RingReader::ReadRound() {
  // Rounds may be short when switches come in storms; the budget of copies is by time.
  constexpr Nanoseconds kCopiesInterval = std::chrono::milliseconds(45);
  const Instant began = MonotonicClock::now();
  const bool reads_copies = began - copies_read_at_ >= kCopiesInterval;
  copies_read_at_ = reads_copies ? began : copies_read_at_;
  std::vector<EventRing>& rings = events_.rings();
  heads_.clear();
  for (const EventRing& ring : rings) {
    heads_.push_back(ring.ring.Head());
  }
  // After the heads were taken: a process's fork is reported before it runs, so every process that
  // has a sample before these heads is known now.
  ReadSideband();
  for (size_t i = 0; i < rings.size(); ++i) {
    if (rings[i].role == RingRole::kStops || rings[i].role == RingRole::kStopCopies) {
      if (reads_copies || rings[i].role == RingRole::kStops) {
        ReadStops(rings[i], heads_[i]);
      }
    } else if (rings[i].role != RingRole::kSideband) {
      ReadRing(rings[i], heads_[i]);
    }
  }
  order_.EndRound(began);
}

}  // namespace whyslow
