/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
 *
 * What the BPF programs tell about waits, and how they are told what they need; shared by both
 * sides. Field names follow the kernel's style, which the programs are compiled in. */
#ifndef WHYSLOW_SAMPLER_BPF_WAIT_RECORDS_H
#define WHYSLOW_SAMPLER_BPF_WAIT_RECORDS_H

#include <linux/types.h>

/* NOLINTBEGIN(readability-identifier-naming): C of the kernel side */

enum {
  WAIT_BUCKETS = 129,     /* as kDurationBuckets */
  WAIT_SLOTS = 32,        /* return addresses by which a stack is known again */
  WAIT_SPAN = 512,        /* words from the stack pointer on that are read in one go for that, */
  WAIT_SPAN_OF_SLOT = 24, /* unless there are more than this for each return address */
  WAIT_VARIANTS = 4,      /* stacks that have the same leaf, stack pointer and system call */
  WAIT_PENDING = 4,       /* of those: sent and not known yet */
  WAIT_STACK_PAGE = 4096,
  WAIT_STACK_MOST = 32768, /* bytes of a copy */
  WAIT_KERNEL_FRAMES = 48,
  WAIT_REGISTERS = 40, /* u64; x86-64 has 21 in pt_regs, ARM64 36 */
  WAIT_SYSCALLS = 512,
  WAIT_FILTER_WORDS = 64,
  WAIT_CODE_RANGES = 64,
  WAIT_NAME = 108, /* bytes of a path of a unix socket */
};

/* Where a system call names what it waits for: how_fd[number]. */
enum wait_fd {
  WAIT_FD_NONE,
  WAIT_FD_FIRST,  /* the first argument */
  WAIT_FD_POLL,   /* an array of struct pollfd, which has one entry */
  WAIT_FD_SELECT, /* sets of bits, of which one is set */
  WAIT_FD_LOCK,   /* none: it is futex or one of its kind */
};

/* As OffCpu in sampler/event.h. */
enum wait_why {
  WAIT_BLOCKED,
  WAIT_RUNNABLE,
  WAIT_PREEMPTED,
  WAIT_THROTTLED,
  WAIT_STOPPED,
  WAIT_TRACED,
  WAIT_FROZEN,
};

enum wait_flag {
  WAIT_UNINTERRUPTIBLE = 1,
  WAIT_FOR_DEVICE = 2,
  WAIT_FOR_GIL = 4,
  WAIT_FOR_TIME = 8, /* poll and select of nothing */
};

/* Set before the programs are loaded. */
struct wait_constants {
  __u32 most_stack_bytes;
  __s32 nr_yield;
  __s32 nr_exit;
  __s32 nr_connect;
  __s32 nr_futex;
  __s32 nr_futex_wake;
  __u8 follows_children;
  __u8 has_prev_state;        /* sched_switch has a fourth argument (5.18) */
  __u8 unused[2];             /* the array below is read by the byte: any place will do */
  __u8 how_fd[WAIT_SYSCALLS]; /* enum wait_fd */
};

/* Mapped by user space. */
struct wait_shared {
  __u64 filter[WAIT_FILTER_WORDS]; /* processes, see wait_filter_bit */
  __u64 attached_at;
  __u64 is_on;         /* 0: nothing is timed */
  __u64 has_python;    /* 0: no process has a layout of CPython's frames */
  __u64 epoch;         /* even: sums_even is added to; user space empties the other one */
  __s64 copies_left;   /* until user space gives more */
  __u64 lost_waits;    /* no room in the sums */
  __u64 unsent_stacks; /* waits whose stack is that of a similar one, or none */
  __u64 next_stack;
};

/* Waits that are added up. */
struct wait_key {
  __u64 stack;  /* the wait_stack_record that shows it; 0: none */
  __u64 object; /* the wait_object_record; 0: none */
  __u64 python; /* the python_stack_record; 0: none */
  __u32 thread;
  __u32 process;
  __s32 system_call; /* -1: none */
  __u32 waker;       /* thread; 0: unknown, or no lock */
  __u16 why;
  __u16 flags;
  __u32 unused;
};

struct wait_sum {
  __u64 count;
  __u64 blocked; /* nanoseconds until the thread could go on */
  __u64 longest;
  __u64 run_queue; /* from then until it went on */
  __u32 buckets[WAIT_BUCKETS];
  __u32 unused;
};

struct wait_thread {
  __u64 off_since;   /* 0: runs, or is not known to be off */
  __u64 woken_at;    /* 0: not yet */
  __u64 woken_early; /* while it was on its way off; 0: not since */
  __u64 on_since;    /* 0: is off, or was on when we came */
  __u64 ran;         /* nanoseconds on CPUs since we came, up to the last time that it left one */
  __u64 account;     /* the kernel's account of that at the last switch that was seen; 0: unknown */
  __u64 stolen;      /* it was on a CPU, but the hypervisor or an interrupt had that */
  struct wait_key key;
  /* Who waits for the GIL wakes up every 5 ms to ask for it: one wait, whose slices so far are
   * these. */
  struct wait_key slices_key;
  __u64 slices;           /* 0: there are none */
  __u64 slices_blocked;   /* nanoseconds */
  __u64 slices_run_queue; /* likewise */
  __u64 slices_ended_at;
};

/* Where a process has code, in order. Ranges that are not used begin at the largest number below
 * 2^63. */
struct wait_code {
  struct {
    __u64 start;
    __u64 end;
  } range[WAIT_CODE_RANGES];
};

/* What tells one stack from another before it is walked. */
struct wait_shape_key {
  __u64 ip;
  __u64 sp;
  __u64 link; /* ARM64: the link register; else 0 */
  __u32 thread;
  __s32 system_call;
};

/* A stack that user space has walked: where its return addresses lie, and which they are. */
struct wait_variant {
  __u64 stack;
  __u64 hash; /* of the words at the offsets, see wait_hash */
  __u32 count;
  __u32 span;                /* one more than the highest offset */
  __u16 offsets[WAIT_SLOTS]; /* words above the stack pointer */
};

struct wait_pending {
  __u64 stack;
  __u64 sent_at;
  __u64 hash; /* of the words near the stack pointer that point into code */
};

struct wait_shape {
  __u64 checked_at; /* when a known stack was last sent again */
  __u64 last;       /* the stack sent last */
  __u32 unknown;    /* times that no variant fitted since the last one was learned */
  __u32 variants;
  __u32 next_pending;
  __u32 unused;
  struct wait_pending pending[WAIT_PENDING];
  struct wait_variant variant[WAIT_VARIANTS];
};

enum wait_record_type { WAIT_STACK_RECORD = 1, WAIT_OBJECT_RECORD = 2 };

struct wait_record_head {
  __u32 type;
  __u32 process;
};

struct wait_stack_record {
  struct wait_record_head head;
  __u64 when;
  __u64 stack;   /* its own number */
  __u64 same_as; /* not 0: sent again to check that it is this one */
  __u32 thread;
  __s32 system_call;
  __u32 kernel_frames;
  __u32 stack_bytes;
  __u64 registers[WAIT_REGISTERS]; /* pt_regs as the kernel has it */
  __u64 kernel_stack[WAIT_KERNEL_FRAMES];
  /* and stack_bytes bytes of the stack */
};

enum wait_object_kind {
  WAIT_OBJECT_OTHER,
  WAIT_OBJECT_INET,
  WAIT_OBJECT_UNIX,
  WAIT_OBJECT_FILE, /* regular files, folders, devices, pipes, anonymous ones: by `mode` and name */
};

struct wait_object_record {
  struct wait_record_head head;
  __u64 when;
  __u64 object;
  __u32 kind;
  __u32 fd;
  __u32 mode; /* of the inode */
  __u16 family;
  __u16 protocol;
  __u16 socket_type;
  __u16 state;      /* TCP_LISTEN and so on */
  __u16 local_port; /* host order */
  __u16 peer_port;  /* network order, as the kernel keeps it */
  __u8 local[16];
  __u8 peer[16];
  __u64 inode;
  __u64 device;
  char name[WAIT_NAME];      /* the last part of a file's name; the path of a unix socket */
  char peer_name[WAIT_NAME]; /* of a unix socket */
  __u16 name_bytes;
  __u16 peer_name_bytes;
  __u32 unused;
};

/* The bits of the filter tell at once that most processes are of no interest. */
static inline __u32 wait_filter_bit(__u32 process) {
  return process & (WAIT_FILTER_WORDS * 64 - 1);
}

static inline __u64 wait_hash(__u64 hash, __u64 word) {
  hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
  return hash ^ (hash >> 29);
}

/* NOLINTEND(readability-identifier-naming) */

#endif
