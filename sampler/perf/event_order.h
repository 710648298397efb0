// Many rings in, one time order out.
#pragma once

#include <cstdint>
#include <memory>
#include <variant>
#include <vector>

#include "base/time.h"
#include "sampler/event.h"

namespace whyslow {

// Each ring is nearly in order, but ten rings read one after the other are not: what the first one
// got after it was read belongs before what the last one gave. So an event leaves only when a later
// round has read every ring past its time:
//
//   round 1 begins at 100, reads A: 90 97, reads B: 95 103     horizon: none
//   round 2 begins at 150, reads A: 102 140, reads B: 145      horizon: 100, out: 90 95 97
//
// The horizon is the previous round's beginning: a record stamped before it was in its ring by now.
// (Rejected: the clock minus a guess; on a busy virtual machine no guess is both safe and short.)
class EventOrder {
 public:
  void Add(Event event);

  // All rings have been read since `round_began`. Rounds closer together than a record may take
  // from its stamp to its ring count as one.
  void EndRound(Instant round_began);
  // No event will follow: everything may leave.
  void EndAll();

  // Appends what may leave, in order, at most `most` events; says if more could.
  bool Release(std::vector<Event>& out, size_t most);

  // Nothing earlier will be released.
  Instant horizon() const { return horizon_; }

  // Came after its successors had left. It gets their time: order is what the readers rely on.
  uint64_t late_events() const { return late_events_; }
  size_t size() const { return pending_.size() - released_; }

 private:
  // Switches come in storms of a million a second: they stay small while they wait here.
  struct Pending {
    Instant when;
    std::variant<SwitchIn, SwitchOut, std::unique_ptr<Event>> what;
  };

  void Sort();

  std::vector<Pending> pending_;
  size_t released_ = 0;       // of pending_, from its front
  size_t sorted_ = 0;         // of pending_, from its front
  Instant horizon_;           // what is older may leave
  Instant last_round_began_;  // the next horizon
  Instant last_left_;
  uint64_t late_events_ = 0;
};

}  // namespace whyslow
