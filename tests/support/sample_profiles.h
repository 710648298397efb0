// Profiles whose numbers are known, for tests of readers and writers.
#pragma once

#include "profile/profile.h"

namespace whyslow {

// A small Python web server: kernel, native (inlined too), JIT and Python frames, waits with peers,
// a truncated stack, unresolved addresses, labels, a main thread and a worker, in wall mode. wall:
// 1,000 ms in all; 600 ms of it under `handle`, 250 ms waiting for PostgreSQL.
Profile ServerProfile();

// A server's waits of all families, in wall mode, each with its duration, but for the run queue,
// which nobody counts. In 10 s: 2 s on CPUs; two threads (`worker-1`, `worker-2`) wait 1.2 s for
// PostgreSQL in `Query` (12 times 50 ms each, db.cc:21), 2 ms in the run queue; idle: 9 s in
// `NextJob`, 4 s in accept. The rest: WaitingProfile's own list.
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
