/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
 *
 * What the BPF program tells about a thread that has ended; shared by both sides. */
#ifndef WHYSLOW_SAMPLER_BPF_ENDED_THREAD_H
#define WHYSLOW_SAMPLER_BPF_ENDED_THREAD_H

#include <linux/types.h>

struct ended_thread { /* NOLINT(readability-identifier-naming): C of the kernel side */
  __u64 when;         /* nanoseconds of CLOCK_MONOTONIC */
  __u64 run_time;     /* nanoseconds on CPUs since the thread began */
  __u32 process;
  __u32 thread;
  __u32 is_final; /* 0: it is about to end, and the run time is behind by up to a tick */
  __u32 unused;
};

#endif
