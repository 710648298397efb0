// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
//
// Walks the frames of CPython in the thread that is running: at a sample of the clock, and where it
// stops. The thread does not run meanwhile, so that what is read fits together. Nothing is decoded
// here: code objects are told by address, with a check that tells them from others that may take
// their place before user space has read them.

#pragma once

#include "sampler/bpf/python_records.h"
#include "sampler/bpf/wait_records.h"

enum {
  kPythonThreadStates = 1024, /* that are looked through for the one of a thread */
  kPythonPatience = 8,        /* times that a thread without one is looked for at once */
  kPythonRetry = 20000000,    /* then once in as many nanoseconds */
  kPythonTellAgain = 2000000000,
  kPythonWakeEvery = 5000000,
  kPythonIsYoung = 2000000000,
};

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 4096);
  __type(key, __u32);
  __type(value, struct python_walk_layout);
} python_layouts SEC(".maps");

struct python_thread {
  __u64 state;     // address of its PyThreadState; 0: it has none
  __u64 retry_at;  // then
  __u32 misses;
  __u32 unused;
};
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 16384);
  __type(key, __u32);
  __type(value, struct python_thread);
} python_threads SEC(".maps");

// Number of a stack -> when it was told.
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 32768);
  __type(key, __u64);
  __type(value, __u64);
} python_stacks SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 4 * 1024 * 1024);
} python_records SEC(".maps");

// Room for one walk. A sample may interrupt a switch: two for each CPU.
struct python_scratch {
  struct python_walk_layout layout;
  __u64 interpreter;    // whose thread states are looked through; 0: there are no more
  __u64 state;          // the next one
  __u64 without_frame;  // the thread's, but it runs no Python code; 0: none
  __u64 frame;          // the next one; 0: the chain has ended
  __u64 hash;           // of the frames so far
  __u64 last_code;
  __u32 last_check;
  __u32 unused;
  __u64 woke_at;  // user space
  __u8 frame_bytes[PYTHON_MOST_FRAME_SIZE];
  __u8 code_bytes[PYTHON_MOST_CODE_SIZE];
  struct python_stack_record record;
};
enum python_moment { PYTHON_AT_SAMPLE, PYTHON_AT_SWITCH };
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 2);  // user space sets twice the number of CPUs
  __type(key, __u32);
  __type(value, struct python_scratch);
} python_room SEC(".maps");

static __always_inline __u64 user_word(__u64 address) {
  __u64 word = 0;
  bpf_probe_read_user(&word, sizeof(word), (void*)address);
  return word;
}

#if defined(__TARGET_ARCH_x86)
static __always_inline __u64 thread_pointer_of(struct task_struct* task) {
  return BPF_CORE_READ(task, thread.fsbase);
}
#else
// glibc's struct pthread ends where the thread pointer points.
static __always_inline __u64 thread_pointer_of(struct task_struct* task) {
  return BPF_CORE_READ(task, thread.uw.tp_value);
}
#endif

static __always_inline __u64 python_frame_of(const struct python_walk_layout* layout, __u64 state) {
  __u64 frame = user_word(state + layout->thread_frame);
  if (layout->cframe_frame != PYTHON_NO_OFFSET && frame) {
    frame = user_word(frame + layout->cframe_frame);
  }
  return frame;
}

static __always_inline struct python_scratch* python_room_of_cpu(__u32 moment) {
  __u32 place = bpf_get_smp_processor_id() * 2 + (moment & 1);
  return bpf_map_lookup_elem(&python_room, &place);
}

// Looks at the next thread state: 0, or the one that is looked for. A function of its own, which
// the verifier follows once and not for each of them.
__noinline __u64 step_python_threads(__u32 moment, __u64 thread_pointer) {
  struct python_scratch* room = python_room_of_cpu(moment);
  if (!room) {
    return 0;
  }
  struct python_walk_layout* layout = &room->layout;
  __u64 state = room->state;
  if (!state) {
    room->interpreter = user_word(room->interpreter + layout->interpreter_next);
    room->state =
        room->interpreter ? user_word(room->interpreter + layout->interpreter_threads) : 0;
    return 0;
  }
  room->state = user_word(state + layout->thread_next);
  if (user_word(state + layout->thread_id) != thread_pointer) {
    return 0;
  }
  room->without_frame = state;
  return python_frame_of(layout, state) ? state : 0;
}

// A thread has one state in each interpreter that it has been in, and for a moment its creator's
// number: the one with a frame is meant.
static __always_inline __u64 find_python_thread(struct python_scratch* room, __u32 moment,
                                                __u64 thread_pointer) {
  room->interpreter = user_word(room->layout.interpreters);
  room->state =
      room->interpreter ? user_word(room->interpreter + room->layout.interpreter_threads) : 0;
  room->without_frame = 0;
  for (int i = 0; i < kPythonThreadStates && room->interpreter; ++i) {
    __u64 found = step_python_threads(moment, thread_pointer);
    if (found) {
      return found;
    }
  }
  return room->without_frame;
}

static __always_inline __u64 python_thread_of(struct python_scratch* room, __u32 moment,
                                              __u32 thread, __u64 thread_pointer, __u64 now,
                                              int* is_new) {
  const struct python_walk_layout* layout = &room->layout;
  struct python_thread* known = bpf_map_lookup_elem(&python_threads, &thread);
  if (known && known->state && user_word(known->state + layout->thread_id) == thread_pointer &&
      python_frame_of(layout, known->state)) {
    return known->state;
  }
  if (known && !known->state && now < known->retry_at) {
    return 0;
  }
  struct python_thread found = {.state = find_python_thread(room, moment, thread_pointer)};
  if (!found.state) {
    found.misses = known && !known->state ? known->misses + 1 : 1;
    found.retry_at = found.misses > kPythonPatience ? now + kPythonRetry : 0;
  }
  *is_new = found.state != 0;
  bpf_map_update_elem(&python_threads, &thread, &found, BPF_ANY);
  return found.state;
}

// In halves: some words lie at a multiple of four only. `most`: a power of two.
static __always_inline __u64 word_in(const __u8* bytes, __u32 offset, __u32 most) {
  __u32 low = *(__u32*)(bytes + (offset & (most - 4)));
  __u32 high = *(__u32*)(bytes + ((offset + 4) & (most - 4)));
  return low | (__u64)high << 32;
}

static __always_inline __u32 check_python_code(struct python_scratch* room, __u64 code) {
  __u32 size = room->layout.code_size;
  __u32 names = room->layout.code_names;
  if (code == room->last_code) {
    return room->last_check;
  }
  if (size == 0 || size > PYTHON_MOST_CODE_SIZE ||
      bpf_probe_read_user(room->code_bytes, size, (void*)(code + room->layout.code_begin))) {
    return 0;
  }
  room->last_code = code;
  room->last_check = python_check(*(__u32*)room->code_bytes,
                                  word_in(room->code_bytes, names, PYTHON_MOST_CODE_SIZE),
                                  word_in(room->code_bytes, names + 8, PYTHON_MOST_CODE_SIZE));
  return room->last_check;
}

// A frame of the interpreter's own: the one before it was called from C.
static __always_inline void end_python_run(struct python_scratch* room, __u32 count) {
  if (count > 0) {
    room->record.frames[(count - 1) & (PYTHON_MOST_FRAMES - 1)].is_entry = 1;
    room->hash = wait_hash(room->hash, 1);
  }
}

// Adds the next frame to the record. 0: there is none, or it cannot be read. A function of its own,
// which the verifier follows once and not for each frame.
__noinline int step_python_frame(__u32 moment) {
  struct python_scratch* room = python_room_of_cpu(moment);
  if (!room || !room->frame) {
    return 0;
  }
  struct python_walk_layout* layout = &room->layout;
  __u32 size = layout->frame_size;
  if (size == 0 || size > PYTHON_MOST_FRAME_SIZE ||
      bpf_probe_read_user(room->frame_bytes, size, (void*)room->frame)) {
    return 0;
  }
  const __u8* bytes = room->frame_bytes;
  __u64 frame = room->frame;
  room->frame = word_in(bytes, layout->frame_previous, PYTHON_MOST_FRAME_SIZE);
  __u32 count = room->record.count;
  __u32 entry = bytes[layout->frame_entry & (PYTHON_MOST_FRAME_SIZE - 1)];
  if (layout->entries == PYTHON_ENTRY_OWNER && entry >= layout->own_owner) {
    end_python_run(room, count);
    return 1;
  }
  struct python_raw_frame* raw = &room->record.frames[count & (PYTHON_MOST_FRAMES - 1)];
  raw->code = word_in(bytes, layout->frame_code, PYTHON_MOST_FRAME_SIZE) & layout->code_mask;
  raw->instruction = word_in(bytes, layout->frame_instruction, PYTHON_MOST_FRAME_SIZE);
  if (layout->instruction_bytes == 4) {
    raw->instruction &= 0xffffffff;
  }
  raw->check = check_python_code(room, raw->code);
  raw->is_entry =
      layout->entries == PYTHON_ENTRY_ALL || (layout->entries == PYTHON_ENTRY_FLAG && entry);
  room->hash = wait_hash(wait_hash(room->hash, raw->code ^ raw->is_entry),
                         raw->instruction ^ (__u64)raw->check << 32);
  room->record.count = count + 1;
  room->record.outermost = frame;
  return 1;
}

// Fills the record with the frames from this one on. Gives the stack's number.
static __always_inline __u64 walk_python_frames(struct python_scratch* room, __u32 process,
                                                __u64 frame, __u32 moment) {
  room->frame = frame;
  room->hash = wait_hash(process, 1);
  room->last_code = 0;
  room->record.count = 0;
  for (int i = 0; i < PYTHON_MOST_FRAMES; ++i) {
    if (!step_python_frame(moment)) {
      break;
    }
  }
  // Where a generator is being left, or a frame linked, the chain ends too early for a moment.
  __u32 outermost = (room->record.count - 1) & (PYTHON_MOST_FRAMES - 1);
  room->record.is_cut = room->frame != 0 || !room->record.frames[outermost].is_entry;
  return room->hash | 1;
}

// The stack of Python code that the running thread is on, told to user space where it is new.
// 0: none.
__noinline __u64 python_stack_at(__u64 process_and_thread, __u64 thread_pointer, __u64 began,
                                 __u64 now, __u32 moment) {
  __u32 process = process_and_thread >> 32;
  __u32 thread = (__u32)process_and_thread;
  struct python_walk_layout* layout = bpf_map_lookup_elem(&python_layouts, &process);
  if (!layout) {
    return 0;
  }
  struct python_scratch* room = python_room_of_cpu(moment);
  if (!room) {
    return 0;
  }
  room->layout = *layout;
  int is_new = 0;
  __u64 state = python_thread_of(room, moment, thread, thread_pointer, now, &is_new);
  __u64 frame = state ? python_frame_of(layout, state) : 0;
  if (!frame) {
    return 0;
  }
  __u64 stack = walk_python_frames(room, process, frame, moment);
  __u64* told_at = bpf_map_lookup_elem(&python_stacks, &stack);
  if (told_at && now - *told_at < kPythonTellAgain) {
    return stack;
  }
  struct python_stack_record* record = &room->record;
  record->type = PYTHON_STACK_RECORD;
  record->thread = thread;
  record->process = process;
  record->when = now;
  record->stack = stack;
  __u64 size = sizeof(*record) -
               (PYTHON_MOST_FRAMES - (__u64)record->count) * sizeof(struct python_raw_frame);
  // A new thread or process may be gone soon, and with it names.
  __u64 flags = BPF_RB_NO_WAKEUP;
  int is_young = is_new || now - began < kPythonIsYoung;
  if (is_young && now - room->woke_at > kPythonWakeEvery) {
    room->woke_at = now;
    flags = BPF_RB_FORCE_WAKEUP;
  }
  if (size <= sizeof(*record) && !bpf_ringbuf_output(&python_records, record, size, flags)) {
    bpf_map_update_elem(&python_stacks, &stack, &now, BPF_ANY);
  }
  return stack;
}

static __always_inline __u64 python_stack_of(struct task_struct* task, __u32 process, __u32 thread,
                                             __u64 now, __u32 moment) {
  return python_stack_at((__u64)process << 32 | thread, thread_pointer_of(task),
                         BPF_CORE_READ(task, group_leader, start_time), now, moment);
}

static __always_inline void tell_python_sample(struct task_struct* task, __u32 process,
                                               __u32 thread) {
  __u64 now = bpf_ktime_get_ns();
  __u64 stack = python_stack_of(task, process, thread, now, PYTHON_AT_SAMPLE);
  if (stack) {
    struct python_sample_record record = {.type = PYTHON_SAMPLE_RECORD,
                                          .thread = thread,
                                          .when = now,
                                          .stack = stack,
                                          .cpu = bpf_get_smp_processor_id()};
    bpf_ringbuf_output(&python_records, &record, sizeof(record), BPF_RB_NO_WAKEUP);
  }
}

static __always_inline void inherit_python(__u32 parent, __u32 child) {
  struct python_walk_layout* layout = bpf_map_lookup_elem(&python_layouts, &parent);
  if (layout) {
    bpf_map_update_elem(&python_layouts, &child, layout, BPF_ANY);
  }
}
