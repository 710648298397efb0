/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
 *
 * Where CPython keeps what a walk over its frames reads, in one process; shared by the BPF programs
 * and by user space. Offsets are in bytes. Field names follow the kernel's style, which the
 * programs are compiled in. */
#ifndef WHYSLOW_SAMPLER_PYTHON_WALK_LAYOUT_H
#define WHYSLOW_SAMPLER_PYTHON_WALK_LAYOUT_H

#include <linux/types.h>

/* NOLINTBEGIN(readability-identifier-naming): C of the kernel side */

enum {
  PYTHON_MOST_FRAMES = 1024,    /* of one walk */
  PYTHON_MOST_FRAME_SIZE = 128, /* bytes that are read of a frame, from its beginning */
  PYTHON_MOST_CODE_SIZE = 128,  /* bytes that are read of a code object, in one piece */
  PYTHON_NO_OFFSET = 0xffff,
};

/* Which frames the C function of the interpreter was entered with. */
enum python_entries {
  PYTHON_ENTRY_ALL,   /* each: up to 3.10 */
  PYTHON_ENTRY_FLAG,  /* those with a byte that is not 0: 3.11 */
  PYTHON_ENTRY_OWNER, /* those that a frame of the interpreter's own follows: from 3.12 on; such
                         frames are not shown */
};

struct python_walk_layout {
  __u64 interpreters;  /* address of the pointer to the first interpreter state */
  __u64 runtime_begin; /* _PyRuntime, which holds the GIL of the first interpreter */
  __u64 runtime_end;
  __u64 code_mask;           /* bits of the word that names the code object which are address */
  __u32 interpreter_next;    /* in an interpreter state */
  __u32 interpreter_threads; /* likewise: the pointer to the first thread state */
  __u16 thread_next;         /* in a thread state */
  __u16 thread_id;           /* likewise: pthread_self() */
  __u16 thread_frame;        /* likewise: the pointer to the frame or, */
  __u16 cframe_frame;        /* unless this is PYTHON_NO_OFFSET, to a struct with it here */
  __u16 frame_size;          /* of what is read of a frame */
  __u16 frame_previous;      /* in a frame */
  __u16 frame_code;
  __u16 frame_instruction;
  __u16 frame_entry; /* a byte: is_entry or owner */
  __u16 code_begin;  /* what is read of a code object begins here: with the first line's number, */
  __u16 code_size;   /* has this size, */
  __u16 code_names; /* and has here the pointers to file's name and name, counted from code_begin */
  __u8 instruction_bytes; /* 4 or 8 */
  __u8 entries;           /* enum python_entries */
  __u8 own_owner;         /* PYTHON_ENTRY_OWNER: frames with this owner or a greater one are the
                             interpreter's own */
  __u8 unused;
};

/* One frame of a walk, leaf first. */
struct python_raw_frame {
  __u64 code;        /* address of the code object */
  __u64 instruction; /* as the frame has it: an address, or a number */
  __u32 check;       /* python_check of the code object */
  __u32 is_entry;    /* 1: the C function of the interpreter was entered with it */
};

/* Tells a code object from another one that was later made at the same place. */
static inline __u32 python_check(__u32 first_line, __u64 file_name, __u64 name) {
  __u64 hash = (file_name ^ first_line) * 0x9e3779b97f4a7c15ULL;
  hash = (hash ^ (hash >> 29) ^ name) * 0x9e3779b97f4a7c15ULL;
  return (__u32)(hash >> 32);
}

/* NOLINTEND(readability-identifier-naming) */

#endif
