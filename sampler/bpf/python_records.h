/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
 *
 * What the BPF programs tell about frames of Python code; shared by both sides. Field names follow
 * the kernel's style, which the programs are compiled in. */
#ifndef WHYSLOW_SAMPLER_BPF_PYTHON_RECORDS_H
#define WHYSLOW_SAMPLER_BPF_PYTHON_RECORDS_H

#include <linux/types.h>

#include "sampler/python/walk_layout.h"

/* NOLINTBEGIN(readability-identifier-naming): C of the kernel side */

enum python_record_type { PYTHON_STACK_RECORD = 1, PYTHON_SAMPLE_RECORD = 2 };

/* A sample of the clock was on this stack. */
struct python_sample_record {
  __u32 type;
  __u32 thread;
  __u64 when;
  __u64 stack;
  __u32 cpu;
  __u32 unused;
};

/* A stack that is new, or was told of some time ago. */
struct python_stack_record {
  __u32 type;
  __u32 thread;
  __u64 when;
  __u64 stack;     /* its number: a hash of the process and of the frames */
  __u64 outermost; /* address of the last frame */
  __u32 process;
  __u16 count;
  __u16 is_cut; /* 1: the chain of frames did not end, or not where it should */
  struct python_raw_frame frames[PYTHON_MOST_FRAMES];
};

/* NOLINTEND(readability-identifier-naming) */

#endif
