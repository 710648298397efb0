// What the descriptors are that threads wait on: the BPF programs' records, completed from /proc.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <cstdint>
#include <memory>

#include "base/ids.h"
#include "base/time.h"
#include "sampler/bpf/wait_records.h"
#include "sampler/event.h"

namespace whyslow {

// Pure: nothing of /proc. A file's path is its last part.
WaitObject ObjectOfRecord(const wait_object_record& record);

// Used by one thread.
class WaitObjects {
 public:
  void Add(const wait_object_record& record);
  // Null: none is known.
  std::shared_ptr<const WaitObject> Find(uint64_t number);

 private:
  bool IsListeningPort(Pid pid, uint16_t port);

  using Generation = absl::flat_hash_map<uint64_t, std::shared_ptr<const WaitObject>>;
  void Keep(uint64_t number, std::shared_ptr<const WaitObject> object);

  // What is in use moves into the young one; the old one goes when that is full.
  Generation young_;
  Generation old_;
  absl::flat_hash_set<uint16_t> listening_;
  Instant listening_read_at_;
};

}  // namespace whyslow
