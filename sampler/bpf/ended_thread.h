/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
 *
 * What the BPF program tells about a thread that has ended; shared by both sides. */
#ifndef WHYSLOW_SAMPLER_BPF_ENDED_THREAD_H
#define WHYSLOW_SAMPLER_BPF_ENDED_THREAD_H

#include <linux/types.h>

struct ended_thread {
  __u64 when;     /* nanoseconds of CLOCK_MONOTONIC */
  __u64 run_time; /* nanoseconds on CPUs since the thread began */
  __u32 process;
  __u32 thread;
};

#endif
