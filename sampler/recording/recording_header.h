// What a recording says about itself.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "sampler/registers.h"

namespace whyslow {

struct RecordingHeader {
  std::string whyslow_version;
  std::map<std::string, std::string> options;  // as on the command line, without the dashes
  std::string machine;                         // as `uname -m`
  std::string kernel_release;
  std::string boot_id;
  Instant attached_at;
  int64_t attached_at_utc_nanos = 0;
  std::vector<Pid> targets;
  uint32_t frequency_hz = 0;
  std::vector<std::string> comments;  // what stands at the head of the profile

  // Machine, kernel and boot of where we run; the rest is the caller's.
  static RecordingHeader OfThisMachine();

  Architecture architecture() const;
};

}  // namespace whyslow
