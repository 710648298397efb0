// What a profile's threads waited for and where, added up: one row a call site of a wait.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/duration_histogram.h"
#include "profile/profile.h"
#include "profile/wait_kind.h"
#include "profile/wait_site.h"

namespace whyslow {

// Texts are empty where they are unknown or mean nothing for the kind.
struct WaitTableRow {
  std::string kind;  // "socket"
  WaitFamily family = WaitFamily::kOther;
  std::string words;  // "socket 127.0.0.1:5432 postgresql", as in the frames of other formats
  std::string peer;
  std::string protocol;
  std::string file;
  std::string syscall;
  std::string tls;
  WaitSite site;
  bool idle = false;
  int64_t count = 0;  // 0 also where nobody counts: in the run queue
  int64_t total = 0;  // nanoseconds
  // Of the waits whose durations are known; its count is 0 where that is none.
  DurationHistogram times;
};

struct WaitTable {
  int64_t count = 0;
  int64_t total = 0;               // nanoseconds
  int64_t count_with_times = 0;    // of so many waits each one's duration is known
  std::vector<WaitTableRow> rows;  // greatest total first
};

// Does the profile have a column of waiting time?
bool KnowsWaits(const Profile& profile);

// Threads are added up. Empty for a profile that knows no waits.
WaitTable MakeWaitTable(const Profile& profile);

}  // namespace whyslow
