// Profiles whose numbers are known, for tests of readers and writers.
#pragma once

#include "profile/profile.h"

namespace whyslow {

// A small Python web server: kernel, native (inlined too), JIT and Python frames, waits with peers,
// a truncated stack, unresolved addresses, labels, a main thread and a worker, in wall mode. wall:
// 1,000 ms in all; 600 ms of it under `handle`, 250 ms waiting for PostgreSQL.
Profile ServerProfile();

// A server's waits of all families, in wall mode, each with its duration, but for the run queue,
// which nobody counts, and throttling. wall: 17,159 ms in all, 2,000 of it on CPUs. `worker-1` and
// `worker-2` wait for PostgreSQL in `Query` (db.cc:21), 12 times 50 ms each, then 1 ms each in the
// run queue. Idle: 9,000 ms in `NextJob`, 4,000 ms in accept.
Profile WaitingProfile();

// Only samples on the processor, 100 in all, as `--mode cpu` makes them.
Profile CpuProfile();

// Names made to break formats: markup, quotes, separators, controls, bytes that are no UTF-8.
Profile HostileProfile();

// About `frames` distinct frames in stacks up to `depth` deep, always the same ones.
Profile LargeProfile(uint32_t frames, uint32_t depth);

// The names in HostileProfile, as they went in.
std::vector<std::string> HostileNames();

}  // namespace whyslow
