// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
//
// Waits of the threads of target processes: timed and counted at every switch, in maps; stacks are
// sent to user space only where they are new.
//
// How a stack is known again: user space walks each stack that it is sent and tells the program
// where on it the return addresses lie and which they are (wait_variant). A thread that stops with
// the same program counter and stack pointer, in the same system call, and with the same return
// addresses in the same places, is on the same stack. Until user space has answered, stacks are
// told apart by those words near the stack pointer that point into code.

#pragma once

#include "sampler/bpf/wait_records.h"

enum {
  kTaskRunning = 0,
  kTaskUninterruptible = 0x2,
  kTaskStopped = 0x4,
  kTaskTraced = 0x8,
  kTaskDead = 0x80,
  kTaskNoLoad = 0x400,
  kTaskFrozen = 0x8000,
  kJobctlTrapFreeze = 1 << 23,
};

// Volatile: else the compiler would take the values from here.
const volatile struct wait_constants constants = {};

struct wait_shared shared = {};

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 16384);
  __type(key, __u32);
  __type(value, struct wait_thread);
} threads SEC(".maps");

struct wait_sums {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 4096);
  __type(key, struct wait_key);
  __type(value, struct wait_sum);
} sums_even SEC(".maps"), sums_odd SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1024);
  __type(key, __u32);
  __type(value, struct wait_code);
} code SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 16384);
  __type(key, struct wait_shape_key);
  __type(value, struct wait_shape);
} shapes SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 8192);
  __type(key, __u64);
  __type(value, __u8);
} objects SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 8 * 1024 * 1024);
} wait_records SEC(".maps");

// Room to put a record together; one for each CPU (a per-CPU map has room for 32 KB only).
struct wait_scratch {
  struct wait_stack_record record;
  __u8 bytes[WAIT_STACK_MOST + WAIT_STACK_PAGE];
  struct wait_shape empty_shape;
  struct wait_sum empty_sum;
};
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);  // user space sets the number of CPUs
  __type(key, __u32);
  __type(value, struct wait_scratch);
} scratch SEC(".maps");

// Tells at once of most processes that nobody asked for them. While timing is off, nobody did.
static __always_inline int may_be_target(__u32 process) {
  __u32 bit = wait_filter_bit(process);
  return shared.is_on && (shared.filter[bit / 64 & (WAIT_FILTER_WORDS - 1)] >> (bit % 64) & 1);
}

static __always_inline int is_target(__u32 process) {
  return may_be_target(process) && bpf_map_lookup_elem(&targets, &process) != 0;
}

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
  unsigned long di, si, dx, r10, r8, orig_ax, ip, sp;
} __attribute__((preserve_access_index));
static __always_inline __s32 system_call_of(struct pt_regs* regs) { return (__s32)regs->orig_ax; }
static __always_inline __u64 ip_of(struct pt_regs* regs) { return regs->ip; }
static __always_inline __u64 sp_of(struct pt_regs* regs) { return regs->sp; }
static __always_inline __u64 link_of(struct pt_regs* regs) { return 0; }
static __always_inline __u64 argument_of(struct pt_regs* regs, int number) {
  return number == 0 ? regs->di : number == 1 ? regs->si : number == 2 ? regs->dx : regs->r10;
}
enum { kBytesOfRegisters = 21 * 8 };
#else
struct user_pt_regs {
  __u64 regs[31];
  __u64 sp;
  __u64 pc;
  __u64 pstate;
};
// Anonymous members: the names of the union's are found through it.
struct pt_regs {
  union {
    struct user_pt_regs user_regs;
    struct {
      __u64 regs[31];
      __u64 sp;
      __u64 pc;
      __u64 pstate;
    };
  };
  __u64 orig_x0;
  __s32 syscallno;
} __attribute__((preserve_access_index));
static __always_inline __s32 system_call_of(struct pt_regs* regs) { return regs->syscallno; }
static __always_inline __u64 ip_of(struct pt_regs* regs) { return regs->pc; }
static __always_inline __u64 sp_of(struct pt_regs* regs) { return regs->sp; }
static __always_inline __u64 link_of(struct pt_regs* regs) { return regs->regs[30]; }
static __always_inline __u64 argument_of(struct pt_regs* regs, int number) {
  return number == 0 ? regs->orig_x0 : regs->regs[number];
}
enum { kBytesOfRegisters = 36 * 8 };
#endif

// ---- Stacks -------------------------------------------------------------------------------------

static __always_inline struct wait_scratch* scratch_of_cpu(void) {
  __u32 cpu = bpf_get_smp_processor_id();
  return bpf_map_lookup_elem(&scratch, &cpu);
}

static __always_inline __u64 new_stack_number(void) {
  return __sync_fetch_and_add(&shared.next_stack, 1) + 1;
}

static __always_inline __u64 hash_one_by_one(const struct wait_variant* variant, __u64 sp) {
  __u64 hash = 0;
  for (__u32 i = 0; i < WAIT_SLOTS; ++i) {
    __u64 word = 0;
    if (i >= variant->count) {
      break;
    }
    if (bpf_probe_read_user(&word, sizeof(word), (void*)(sp + variant->offsets[i] * 8))) {
      return ~variant->hash;
    }
    hash = wait_hash(hash, word);
  }
  return hash;
}

static __always_inline __u64 hash_of_copy(const struct wait_variant* variant, const __u64* words) {
  __u64 hash = 0;
  for (__u32 i = 0; i < WAIT_SLOTS; ++i) {
    if (i >= variant->count) {
      break;
    }
    hash = wait_hash(hash, words[variant->offsets[i] & (WAIT_SPAN - 1)]);
  }
  return hash;
}

// The variant with the same return addresses; its number, or 0. The words at its offsets are read
// with all that lie between: each read costs as much as a good hundred bytes more in one.
__noinline __u64 known_stack(struct wait_shape* shape, __u64 sp) {
  struct wait_scratch* room = scratch_of_cpu();
  __u32 copied = 0;  // words, for all variants
  if (!shape || !room) {
    return 0;
  }
  for (__u32 v = 0; v < WAIT_VARIANTS; ++v) {
    if (v >= shape->variants) {
      break;
    }
    struct wait_variant* variant = &shape->variant[v];
    __u32 span = variant->span;
    if (span > copied && span <= WAIT_SPAN && span <= variant->count * WAIT_SPAN_OF_SLOT &&
        !bpf_probe_read_user(room->bytes, span * 8, (void*)sp)) {
      copied = span;
    }
    __u64 hash = span <= copied ? hash_of_copy(variant, (const __u64*)room->bytes)
                                : hash_one_by_one(variant, sp);
    if (hash == variant->hash) {
      return variant->stack;
    }
  }
  return 0;
}

// 1 where a <= b, of numbers below 2^63. Here and below without branches: the verifier would follow
// both ways of each.
static __always_inline __u64 is_not_above(__u64 a, __u64 b) { return 1 ^ ((b - a) >> 63); }

// By halves: WAIT_CODE_RANGES is a power of two, and ranges that are not used begin beyond all
// words.
static __always_inline __u64 points_into(struct wait_code* code, __u64 word) {
  __u64 first = 0;
  for (__u32 step = WAIT_CODE_RANGES / 2; step > 0; step >>= 1) {
    __u64 middle = (first + step) & (WAIT_CODE_RANGES - 1);
    first += step & (0 - is_not_above(code->range[middle].start, word));
  }
  first &= WAIT_CODE_RANGES - 1;
  return is_not_above(code->range[first].start, word) &
         is_not_above(word + 1, code->range[first].end);
}

// Of the first words of the stack: which of them point into code. 0: nobody knows.
__noinline __u64 rough_hash(__u32 process, __u64 sp) {
  enum { kWords = 128 };
  __u64 hash = 1;
  struct wait_scratch* room = scratch_of_cpu();
  struct wait_code* where = bpf_map_lookup_elem(&code, &process);
  if (!room || !where) {
    return 0;
  }
  __u32 bytes = kWords * 8;
  if (bpf_probe_read_user(room->bytes, bytes, (void*)sp)) {
    bytes = WAIT_STACK_PAGE - (sp & (WAIT_STACK_PAGE - 1));  // the stack ends with this page
    if (bytes > kWords * 8 || bpf_probe_read_user(room->bytes, bytes, (void*)sp)) {
      return hash;
    }
  }
  __u64* words = (__u64*)room->bytes;
  for (__u32 i = 0; i < kWords; ++i) {
    if (i * 8 >= bytes) {
      break;
    }
    __u64 word = words[i] & ~(1ULL << 63);
    hash ^= (hash ^ wait_hash(hash ^ i, word)) & (0 - points_into(where, word));
  }
  return hash;
}

static __always_inline __u32 copy_stack(struct wait_scratch* room, __u64 sp) {
  __u32 done = 0;
  for (int page = 0; page < WAIT_STACK_MOST / WAIT_STACK_PAGE + 1; ++page) {
    __u32 size = WAIT_STACK_PAGE - (__u32)((sp + done) & (WAIT_STACK_PAGE - 1));
    if (done >= constants.most_stack_bytes || done >= WAIT_STACK_MOST) {
      break;
    }
    if (size > WAIT_STACK_PAGE) {
      break;
    }
    if (bpf_probe_read_user(&room->bytes[done & (WAIT_STACK_MOST - 1)], size, (void*)(sp + done))) {
      break;
    }
    done += size;
  }
  return done < WAIT_STACK_MOST ? done : WAIT_STACK_MOST;
}

// Sends registers, the kernel's stack and a copy of the user's. Its number; 0: no room, or enough.
static __always_inline __u64 send_stack(void* context, struct wait_scratch* room,
                                        struct wait_key* key, struct pt_regs* regs, __u64 same_as,
                                        __u64 now) {
  if (shared.copies_left <= 0) {
    return 0;
  }
  __sync_fetch_and_add(&shared.copies_left, -1);
  struct wait_stack_record* record = &room->record;
  record->head.type = WAIT_STACK_RECORD;
  record->head.process = key->process;
  record->when = now;
  record->stack = new_stack_number();
  record->same_as = same_as;
  record->thread = key->thread;
  record->system_call = key->system_call;
  bpf_probe_read_kernel(record->registers, kBytesOfRegisters, regs);
  long kernel = bpf_get_stack(context, record->kernel_stack, sizeof(record->kernel_stack), 0);
  record->kernel_frames = kernel > 0 ? (__u32)kernel / 8 : 0;
  __u32 bytes = copy_stack(room, sp_of(regs));
  record->stack_bytes = bytes;
  __u64 size = sizeof(*record) + bytes;
  if (size > sizeof(*record) + WAIT_STACK_MOST) {
    return 0;
  }
  if (bpf_ringbuf_output(&wait_records, record, size, BPF_RB_NO_WAKEUP)) {
    return 0;
  }
  return record->stack;
}

static __always_inline int is_power_of_two(__u32 number) { return (number & (number - 1)) == 0; }

// The stack of a thread whose shape is known but that fits none of the variants.
static __always_inline __u64 unknown_stack(void* context, struct wait_shape* shape,
                                           struct wait_key* key, struct pt_regs* regs, __u64 now) {
  struct wait_scratch* room = scratch_of_cpu();
  if (!room) {
    return 0;
  }
  __u64 hash = rough_hash(key->process, sp_of(regs));
  enum { kAnswerIsLost = 2 };  // seconds
  for (int i = 0; hash && i < WAIT_PENDING; ++i) {
    struct wait_pending* pending = &shape->pending[i];
    if (pending->stack && pending->hash == hash &&
        now - pending->sent_at < kAnswerIsLost * 1000000000ULL) {
      return pending->stack;
    }
  }
  __u32 times = ++shape->unknown;
  if (times > 2 * WAIT_PENDING && !is_power_of_two(times)) {
    __sync_fetch_and_add(&shared.unsent_stacks, 1);
    return shape->last;
  }
  __u64 stack = send_stack(context, room, key, regs, 0, now);
  if (!stack) {
    __sync_fetch_and_add(&shared.unsent_stacks, 1);
    return shape->last;
  }
  __u32 place = shape->next_pending++ & (WAIT_PENDING - 1);
  shape->pending[place].stack = stack;
  shape->pending[place].hash = hash;
  shape->pending[place].sent_at = now;
  shape->last = stack;
  return stack;
}

static __always_inline __u64 stack_of(void* context, struct wait_key* key, struct pt_regs* regs,
                                      __u64 now) {
  struct wait_shape_key shape_key = {.ip = ip_of(regs),
                                     .sp = sp_of(regs),
                                     .link = link_of(regs),
                                     .thread = key->thread,
                                     .system_call = key->system_call};
  struct wait_shape* shape = bpf_map_lookup_elem(&shapes, &shape_key);
  if (!shape) {
    struct wait_scratch* room = scratch_of_cpu();
    if (!room) {
      return 0;
    }
    bpf_map_update_elem(&shapes, &shape_key, &room->empty_shape, BPF_NOEXIST);
    shape = bpf_map_lookup_elem(&shapes, &shape_key);
    if (!shape) {
      __sync_fetch_and_add(&shared.unsent_stacks, 1);
      return 0;
    }
    shape->checked_at = now;
  }
  __u64 stack = known_stack(shape, shape_key.sp);
  if (!stack) {
    return unknown_stack(context, shape, key, regs, now);
  }
  enum { kCheckEvery = 4 };  // seconds
  if (now - shape->checked_at > kCheckEvery * 1000000000ULL) {
    shape->checked_at = now;
    struct wait_scratch* room = scratch_of_cpu();
    if (room) {
      send_stack(context, room, key, regs, stack, now);
    }
  }
  return stack;
}

static __always_inline void inherit_code(__u32 parent, __u32 child) {
  struct wait_code* where = bpf_map_lookup_elem(&code, &parent);
  if (where) {
    bpf_map_update_elem(&code, &child, where, BPF_ANY);
  }
}

// ---- What is waited for -------------------------------------------------------------------------

static __always_inline __u8 rule_of(__s32 nr) {
  __u32 number = (__u32)nr;
  if (number >= WAIT_SYSCALLS) {
    return WAIT_FD_NONE;
  }
  // The compiler forgets what it knows of the number and leaves the mask for the verifier.
  asm volatile("" : "+r"(number));
  return constants.how_fd[number & (WAIT_SYSCALLS - 1)];
}

static __always_inline int is_lock(__s32 nr) { return rule_of(nr) == WAIT_FD_LOCK; }

static __always_inline struct file* file_at(struct task_struct* task, __u32 fd) {
  struct fdtable* table = task->files ? task->files->fdt : 0;
  struct file* file = 0;
  if (!table || fd >= table->max_fds) {
    return 0;
  }
  bpf_probe_read_kernel(&file, sizeof(file), (void*)table->fd + (__u64)fd * sizeof(file));
  return file;
}

// Of poll: the only descriptor; of select: the only bit. -1: there are several, or none.
static __always_inline __s32 polled_fd(struct pt_regs* regs) {
  struct {
    __s32 fd;
    __s16 events, revents;
  } entry;
  if (argument_of(regs, 1) != 1 ||
      bpf_probe_read_user(&entry, sizeof(entry), (void*)argument_of(regs, 0))) {
    return -1;
  }
  return entry.fd;
}

// 1 for any other number than 0, without a branch: the verifier follows both ways of each.
static __always_inline __u64 is_not_zero(__u64 number) { return (number | -number) >> 63; }

// Of a number that is a power of two.
static __always_inline __u64 place_of_bit(__u64 bit) {
  return is_not_zero(bit & 0xaaaaaaaaaaaaaaaaULL) | is_not_zero(bit & 0xccccccccccccccccULL) << 1 |
         is_not_zero(bit & 0xf0f0f0f0f0f0f0f0ULL) << 2 |
         is_not_zero(bit & 0xff00ff00ff00ff00ULL) << 3 |
         is_not_zero(bit & 0xffff0000ffff0000ULL) << 4 |
         is_not_zero(bit & 0xffffffff00000000ULL) << 5;
}

// Of select, with numbers below 128. Global functions are verified by themselves, whatever their
// callers know.
__noinline int selected_fd(__u64 bits, __u64 to_read, __u64 to_write) {
  __u64 read_words[2] = {};
  __u64 write_words[2] = {};
  if (bits == 0 || bits > 128) {
    return -1;
  }
  __u32 bytes = bits > 64 ? 16 : 8;
  if ((to_read && bpf_probe_read_user(read_words, bytes, (void*)to_read)) ||
      (to_write && bpf_probe_read_user(write_words, bytes, (void*)to_write))) {
    return -1;
  }
  __u64 low = read_words[0] | write_words[0];
  __u64 high = read_words[1] | write_words[1];
  if ((low != 0) == (high != 0)) {
    return -1;
  }
  __u64 word = low | high;
  if (word & (word - 1)) {
    return -1;
  }
  return (int)(place_of_bit(word) + (high ? 64 : 0));
}

enum {
  kAnonymousInodes = 0x09041934,  // ANON_INODE_FS_MAGIC: they all share one inode
  kModeMask = 0170000,
  kModeSocket = 0140000,
};

// Global functions take addresses as numbers: what they read through them is checked there.
__noinline int is_connected_socket(__u64 address) {
  struct file* file = (struct file*)address;
  struct inode* inode = BPF_CORE_READ(file, f_inode);
  if ((BPF_CORE_READ(inode, i_mode) & kModeMask) != kModeSocket) {
    return 0;
  }
  struct socket* socket = BPF_CORE_READ(file, private_data);
  __u16 family = BPF_CORE_READ(socket, sk, __sk_common.skc_family);
  return (family == 2 || family == 10) && BPF_CORE_READ(socket, sk, __sk_common.skc_dport) != 0;
}

// An epoll that watches one connected socket, beside pipes and the like: that one.
__noinline __u64 only_socket_of(__u64 address) {
  struct file* file = (struct file*)address;
  const struct dentry* name = BPF_CORE_READ(file, f_path.dentry);
  char text[16] = {};
  bpf_probe_read_kernel_str(text, sizeof(text), BPF_CORE_READ(name, d_name.name));
  if (text[0] != '[' || text[1] != 'e' || text[2] != 'v' || text[6] != 'p') {  // [eventpoll]
    return 0;
  }
  struct eventpoll* poll = BPF_CORE_READ(file, private_data);
  struct rb_node* root = BPF_CORE_READ(poll, rbr.rb_root.rb_node);
  struct rb_node* nodes[3] = {root, 0, 0};
  if (!root) {
    return 0;
  }
  nodes[1] = BPF_CORE_READ(root, rb_left);
  nodes[2] = BPF_CORE_READ(root, rb_right);
  __u64 found = 0;
  for (int i = 0; i < 3; ++i) {
    if (!nodes[i]) {
      continue;
    }
    if (i > 0 && (BPF_CORE_READ(nodes[i], rb_left) || BPF_CORE_READ(nodes[i], rb_right))) {
      return 0;
    }
    struct epitem* item = (void*)nodes[i] - bpf_core_field_offset(struct epitem, rbn);
    __u64 watched = (__u64)BPF_CORE_READ(item, ffd.file);
    if (is_connected_socket(watched)) {
      if (found) {
        return 0;
      }
      found = watched;
    }
  }
  return found;
}

static __always_inline void describe_unix(struct sock* sk, char* name, __u16* bytes) {
  struct unix_address* address = BPF_CORE_READ((struct unix_sock*)sk, addr);
  if (!address) {
    return;
  }
  int length = BPF_CORE_READ(address, len) - 2;  // behind the family
  if (length <= 0) {
    return;
  }
  if (length > WAIT_NAME) {
    length = WAIT_NAME;
  }
  *bytes = (__u16)length;
  bpf_probe_read_kernel(name, WAIT_NAME,
                        (void*)address + bpf_core_field_offset(struct unix_address, name) + 2);
}

static __always_inline void describe_socket(struct file* file, struct wait_object_record* record) {
  struct socket* socket = BPF_CORE_READ(file, private_data);
  struct sock* sk = BPF_CORE_READ(socket, sk);
  record->family = BPF_CORE_READ(sk, __sk_common.skc_family);
  record->state = BPF_CORE_READ(sk, __sk_common.skc_state);
  record->socket_type = BPF_CORE_READ(sk, sk_type);
  record->protocol = BPF_CORE_READ(sk, sk_protocol);
  if (record->family == 1) {
    record->kind = WAIT_OBJECT_UNIX;
    describe_unix(sk, record->name, &record->name_bytes);
    struct sock* peer = BPF_CORE_READ((struct unix_sock*)sk, peer);
    if (peer) {
      describe_unix(peer, record->peer_name, &record->peer_name_bytes);
    }
    return;
  }
  record->kind = WAIT_OBJECT_INET;
  record->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
  record->peer_port = BPF_CORE_READ(sk, __sk_common.skc_dport);
  if (record->family == 2) {
    *(__u32*)record->local = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);
    *(__u32*)record->peer = BPF_CORE_READ(sk, __sk_common.skc_daddr);
  } else if (record->family == 10) {
    BPF_CORE_READ_INTO(&record->local, sk, __sk_common.skc_v6_rcv_saddr);
    BPF_CORE_READ_INTO(&record->peer, sk, __sk_common.skc_v6_daddr);
  }
}

// `connects_to`, `length`: the address that the thread gave to connect; 0: it is in another call.
__noinline int describe_object(__u64 address, __u64 object, __u64 process_and_fd, __u64 connects_to,
                               __u64 length) {
  struct file* file = (struct file*)address;
  struct wait_object_record* record = bpf_ringbuf_reserve(&wait_records, sizeof(*record), 0);
  if (!record) {
    return 0;  // it is not remembered as sent, so the next wait tries again
  }
  __builtin_memset(record, 0, sizeof(*record));
  record->head.type = WAIT_OBJECT_RECORD;
  record->head.process = process_and_fd >> 32;
  record->when = bpf_ktime_get_ns();
  record->object = object;
  record->fd = (__u32)process_and_fd;
  struct inode* inode = BPF_CORE_READ(file, f_inode);
  record->mode = BPF_CORE_READ(inode, i_mode);
  record->inode = BPF_CORE_READ(inode, i_ino);
  record->device = BPF_CORE_READ(inode, i_sb, s_dev);
  if ((record->mode & kModeMask) == kModeSocket) {
    describe_socket(file, record);
    __u64 bytes = length - 2;  // behind the family
    if (record->kind == WAIT_OBJECT_UNIX && !record->peer_name_bytes && connects_to && bytes > 0 &&
        bytes <= WAIT_NAME &&
        !bpf_probe_read_user(record->peer_name, (__u32)bytes, (void*)(connects_to + 2))) {
      record->peer_name_bytes = (__u16)bytes;
    }
  } else {
    record->kind = WAIT_OBJECT_FILE;
    const unsigned char* name = BPF_CORE_READ(file, f_path.dentry, d_name.name);
    long bytes = bpf_probe_read_kernel_str(record->name, sizeof(record->name), name);
    record->name_bytes = bytes > 0 ? (__u16)(bytes - 1) : 0;
  }
  bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
  __u8 yes = 1;
  bpf_map_update_elem(&objects, &object, &yes, BPF_ANY);
  return 1;
}

static __always_inline __u64 object_of(struct task_struct* task, struct pt_regs* regs, __s32 nr) {
  __u8 rule = rule_of(nr);
  if (rule == WAIT_FD_NONE || rule == WAIT_FD_LOCK) {
    return 0;
  }
  __s32 fd = rule == WAIT_FD_FIRST ? (__s32)argument_of(regs, 0)
             : rule == WAIT_FD_POLL
                 ? polled_fd(regs)
                 : selected_fd(argument_of(regs, 0), argument_of(regs, 1), argument_of(regs, 2));
  struct file* file = fd >= 0 ? file_at(task, (__u32)fd) : 0;
  if (!file) {
    return 0;
  }
  struct inode* inode = BPF_CORE_READ(file, f_inode);
  __u64 object = BPF_CORE_READ(inode, i_ino);
  struct super_block* super = BPF_CORE_READ(inode, i_sb);
  if (BPF_CORE_READ(super, s_magic) == kAnonymousInodes) {
    __u64 watched = only_socket_of((__u64)file);
    if (watched) {
      file = (struct file*)watched;
      inode = BPF_CORE_READ(file, f_inode);
      object = BPF_CORE_READ(inode, i_ino);
      super = BPF_CORE_READ(inode, i_sb);
    } else {
      object = wait_hash((__u64)file, (__u64)BPF_CORE_READ(file, f_op));
    }
  }
  // Numbers of inodes and places of files are used again: with the generation, or with what kind of
  // file it is, rarely for what looks the same.
  object = wait_hash(wait_hash(1, object), BPF_CORE_READ(super, s_dev));
  object = wait_hash(object, BPF_CORE_READ(inode, i_generation));
  if (!bpf_map_lookup_elem(&objects, &object)) {
    describe_object((__u64)file, object, (__u64)(__u32)task->tgid << 32 | (__u32)fd,
                    nr == constants.nr_connect ? argument_of(regs, 1) : 0,
                    nr == constants.nr_connect ? argument_of(regs, 2) : 0);
  }
  return object;
}

static __always_inline __u16 is_for_time(struct pt_regs* regs, __s32 nr) {
  __u8 rule = rule_of(nr);
  __u64 count = rule == WAIT_FD_POLL ? argument_of(regs, 1) : argument_of(regs, 0);
  int is_poll = rule == WAIT_FD_POLL || rule == WAIT_FD_SELECT;
  return is_poll && (__u32)count == 0 ? WAIT_FOR_TIME : 0;
}

// Up to 3.11 the GIL is a part of _PyRuntime, later of an interpreter's state, the first of which
// is a part of it.
static __always_inline __u16 is_for_gil(__u32 process, struct pt_regs* regs, __s32 nr) {
  if (!shared.has_python || !is_lock(nr)) {
    return 0;
  }
  struct python_walk_layout* layout = bpf_map_lookup_elem(&python_layouts, &process);
  __u64 word = argument_of(regs, 0);
  return layout && word - layout->runtime_begin < layout->runtime_end - layout->runtime_begin
             ? WAIT_FOR_GIL
             : 0;
}

// ---- A thread leaves its CPU, is woken, comes back ----------------------------------------------

static __always_inline int is_throttled(struct task_struct* task) {
  if (bpf_core_field_exists(task->throttled)) {  // 6.18
    return task->throttled;
  }
  if (bpf_core_field_exists(task->se.cfs_rq->throttle_count)) {
    return BPF_CORE_READ(task, se.cfs_rq, throttle_count) != 0;
  }
  return 0;
}

static __always_inline int is_freezing(struct task_struct* task) {
  return (task->jobctl & kJobctlTrapFreeze) != 0;
}

static __always_inline __u16 why_off(struct task_struct* task, int preempted, __u64 state,
                                     __s32 nr) {
  if (preempted || state == kTaskRunning) {
    if (!preempted && nr == constants.nr_yield) {
      return WAIT_RUNNABLE;
    }
    return is_throttled(task) ? WAIT_THROTTLED : WAIT_PREEMPTED;
  }
  if (state & kTaskStopped) {
    return WAIT_STOPPED;
  }
  if ((state & kTaskFrozen) || is_freezing(task)) {
    return WAIT_FROZEN;
  }
  return state & kTaskTraced ? WAIT_TRACED : WAIT_BLOCKED;
}

static __always_inline struct wait_thread* known_thread(struct task_struct* task) {
  __u32 thread = (__u32)task->pid;
  return bpf_map_lookup_elem(&threads, &thread);
}

static __always_inline struct wait_thread* new_thread(struct task_struct* task) {
  __u32 thread = (__u32)task->pid;
  struct wait_thread begin = {};
  begin.key.thread = thread;
  begin.key.process = (__u32)task->tgid;
  begin.key.system_call = -1;
  bpf_map_update_elem(&threads, &thread, &begin, BPF_NOEXIST);
  return bpf_map_lookup_elem(&threads, &thread);
}

static __always_inline __u32 bucket_of(__u64 nanos) {
  if (nanos < 1024) {
    return 0;
  }
  __u32 octave = 0;
  __u64 rest = nanos;
  for (__u32 step = 32; step > 0; step >>= 1) {
    if (rest >> step) {
      rest >>= step;
      octave += step;
    }
  }
  __u32 bucket = 1 + (octave - 10) * 4 + (__u32)(nanos >> (octave - 2) & 3);
  return bucket < WAIT_BUCKETS ? bucket : WAIT_BUCKETS - 1;
}

static __always_inline struct wait_sum* sum_in(void* sums, struct wait_key* key) {
  struct wait_sum* sum = bpf_map_lookup_elem(sums, key);
  if (sum) {
    return sum;
  }
  struct wait_scratch* room = scratch_of_cpu();
  if (!room) {
    return 0;
  }
  bpf_map_update_elem(sums, key, &room->empty_sum, BPF_NOEXIST);
  return bpf_map_lookup_elem(sums, key);
}

__noinline int add_wait(struct wait_key* key, __u64 blocked, __u64 run_queue) {
  if (!key) {
    return 0;
  }
  struct wait_key copy = *key;
  struct wait_sum* sum = shared.epoch & 1 ? sum_in(&sums_odd, &copy) : sum_in(&sums_even, &copy);
  if (!sum) {
    __sync_fetch_and_add(&shared.lost_waits, 1);
    return 0;
  }
  ++sum->count;
  sum->blocked += blocked;
  sum->run_queue += run_queue;
  if (blocked > sum->longest) {
    sum->longest = blocked;
  }
  __u32 bucket = bucket_of(blocked);
  if (bucket < WAIT_BUCKETS) {
    ++sum->buckets[bucket];
  }
  return 1;
}

static __always_inline void end_slices(struct wait_thread* thread) {
  if (thread->slices) {
    add_wait(&thread->slices_key, thread->slices_blocked, thread->slices_run_queue);
    thread->slices = 0;
  }
}

// Does the wait that begins go on with the one whose slices are kept?
static __always_inline int continues_slices(struct wait_thread* thread, __u64 now) {
  enum { kBetween = 1000000 };
  return thread->slices && (thread->key.flags & WAIT_FOR_GIL) &&
         thread->key.stack == thread->slices_key.stack &&
         thread->key.python == thread->slices_key.python &&
         now - thread->slices_ended_at < kBetween;
}

__noinline int add_up(struct wait_thread* thread, __u64 now) {
  if (!thread) {
    return 0;
  }
  __u64 total = now - thread->off_since;
  __u64 run_queue = 0;
  // Who was not blocked was not woken either.
  if (thread->woken_at >= thread->off_since && thread->woken_at < now) {
    run_queue = now - thread->woken_at;
  }
  __u64 blocked = total - run_queue;
  // For the GIL, and the time was over.
  int is_slice = (thread->key.flags & WAIT_FOR_GIL) && !thread->key.waker;
  if (thread->slices) {
    blocked += thread->slices_blocked;
    run_queue += thread->slices_run_queue;
    thread->slices = 0;
  }
  if (is_slice) {
    thread->slices_key = thread->key;
    thread->slices = 1;
    thread->slices_blocked = blocked;
    thread->slices_run_queue = run_queue;
    thread->slices_ended_at = now;
    return 1;
  }
  return add_wait(&thread->key, blocked, run_queue);
}

static __always_inline void end_thread(struct task_struct* task, struct wait_thread* thread,
                                       __u64 now) {
  end_slices(thread);
  struct ended_thread* ended = bpf_ringbuf_reserve(&ended_threads, sizeof(*ended), 0);
  if (ended) {
    ended->when = now;
    ended->run_time = thread->ran;
    ended->process = (__u32)task->tgid;
    ended->thread = (__u32)task->pid;
    ended->is_final = 1;
    ended->unused = 0;
    bpf_ringbuf_submit(ended, BPF_RB_NO_WAKEUP);
  }
  __u32 number = (__u32)task->pid;
  bpf_map_delete_elem(&threads, &number);
}

// Of what counts of a thread that nobody has announced.
static __always_inline __u64 begin_of(struct task_struct* task) {
  return task->start_time > shared.attached_at ? task->start_time : shared.attached_at;
}

// Time on a CPU is counted by our clock from switch to switch. The kernel's account is no better: a
// thread that is woken on an idle CPU is charged from the wake-up on, which is some microseconds
// early. But it knows of time that the hypervisor took.
static __always_inline void stop_running(struct task_struct* task, struct wait_thread* thread,
                                         __u64 now) {
  enum { kTellable = 100000 };
  __u64 account = task->se.sum_exec_runtime;
  __u64 on_since = thread->on_since ? thread->on_since : begin_of(task);
  if (thread->off_since) {
    // It came back unseen: some virtual machines hide the switches of their own threads.
    __u64 ran = account - thread->account;
    on_since = ran < now - thread->off_since ? now - ran : thread->off_since;
    add_up(thread, on_since);
    thread->off_since = 0;
  }
  __u64 elapsed = now - on_since;
  __u64 stolen = 0;
  if (thread->on_since && thread->account && account - thread->account + kTellable < elapsed) {
    stolen = elapsed - (account - thread->account);
  }
  thread->ran += elapsed - stolen;
  thread->stolen += stolen;
  thread->on_since = 0;
  thread->account = account;
}

static __always_inline void leave(void* context, struct task_struct* task,
                                  struct wait_thread* thread, int preempted, __u64 state,
                                  __u64 now) {
  if (!thread) {
    thread = new_thread(task);
  }
  if (!thread) {
    __sync_fetch_and_add(&shared.lost_waits, 1);
    return;
  }
  stop_running(task, thread, now);
  if (state & kTaskDead) {
    end_thread(task, thread, now);
    return;
  }
  struct pt_regs* regs = (struct pt_regs*)bpf_task_pt_regs(task);
  struct wait_key* key = &thread->key;
  __s32 nr = system_call_of(regs);
  key->thread = (__u32)task->pid;
  key->process = (__u32)task->tgid;
  key->why = why_off(task, preempted, state, nr);
  key->system_call = nr;
  key->waker = 0;
  key->flags = 0;
  key->object = 0;
  key->stack = 0;
  key->python = 0;
  // Woken after it had left the run queue, before it has left its CPU: that is now. Should it have
  // been another wake-up after all, the true one corrects it.
  enum { kOnItsWay = 100000 };
  thread->woken_at = key->why == WAIT_BLOCKED && now - thread->woken_early < kOnItsWay ? now : 0;
  thread->woken_early = 0;
  thread->off_since = now;
  if (key->why == WAIT_PREEMPTED || key->why == WAIT_THROTTLED) {
    end_slices(thread);
    key->system_call = -1;  // anywhere: neither stack nor call tell anything
    return;
  }
  if (key->why == WAIT_BLOCKED) {
    if ((state & kTaskUninterruptible) && !(state & kTaskNoLoad)) {
      key->flags |= WAIT_UNINTERRUPTIBLE;
    }
    if (BPF_CORE_READ_BITFIELD_PROBED(task, in_iowait)) {
      key->flags |= WAIT_FOR_DEVICE;
    }
    key->object = object_of(task, regs, nr);
    key->flags |= is_for_time(regs, nr) | is_for_gil(key->process, regs, nr);
  }
  key->stack = stack_of(context, key, regs, now);
  if (shared.has_python) {
    key->python = python_stack_of(task, key->process, key->thread, now, PYTHON_AT_SWITCH);
  }
  if (!continues_slices(thread, now)) {
    end_slices(thread);
  }
}

static __always_inline void come_back(struct task_struct* task, struct wait_thread* thread,
                                      __u64 now) {
  if (!thread) {
    // It was there before us and did not run since; nobody has described it.
    thread = new_thread(task);
    if (!thread) {
      return;
    }
    thread->off_since = begin_of(task);
  }
  __u64 account = task->se.sum_exec_runtime;
  if (!thread->off_since && thread->on_since) {
    // It left unseen: for what, nobody knows.
    __u64 ran = account - thread->account;
    thread->off_since = ran < now - thread->on_since ? thread->on_since + ran : now;
    thread->ran += thread->off_since - thread->on_since;
    thread->woken_at = 0;
    thread->key.stack = thread->key.object = thread->key.python = 0;
    thread->key.system_call = -1;
    thread->key.why = WAIT_BLOCKED;
    thread->key.flags = 0;
    thread->key.waker = 0;
  }
  if (thread->off_since) {
    add_up(thread, now);
    thread->off_since = 0;
  }
  thread->on_since = now;
  thread->account = account;
}

// Of a thread that is known it is known that it is a target's: its process need not be looked up.
static __always_inline int is_of_target(struct task_struct* task, struct wait_thread** thread) {
  __u32 process = (__u32)task->tgid;
  if (!may_be_target(process)) {
    return 0;
  }
  *thread = known_thread(task);
  return *thread || bpf_map_lookup_elem(&targets, &process);
}

SEC("tp_btf/sched_switch")
int on_switch(unsigned long long* context) {
  struct task_struct* prev = (struct task_struct*)context[1];
  struct task_struct* next = (struct task_struct*)context[2];
  struct wait_thread* left = 0;
  struct wait_thread* come = 0;
  int leaves = is_of_target(prev, &left);
  int comes = is_of_target(next, &come);
  if (!leaves && !comes) {
    return 0;
  }
  __u64 now = bpf_ktime_get_ns();
  if (leaves) {
    // The task's own state may have been changed by a wake-up already.
    __u64 state = constants.has_prev_state ? context[3] : prev->__state;
    leave(context, prev, left, (int)context[0] & 1, state & 0xffffffff, now);
  }
  if (comes) {
    come_back(next, come, now);
  }
  return 0;
}

// Does `waker` end a wait for the lock that `sleeper` waits for? Else an interrupt does, a time-out
// for one, in whatever thread it found.
static __always_inline int ends_wait_of(struct task_struct* waker, struct task_struct* sleeper) {
  enum {
    kWake = 1,
    kRequeue = 3,
    kRequeueIf = 4,
    kWakeOp = 5,
    kUnlock = 7,
    kWakeBits = 10,
    kMask = 15,
    kPrivate = 128,
  };
  struct pt_regs* regs = (struct pt_regs*)bpf_task_pt_regs(waker);
  struct pt_regs* asleep = (struct pt_regs*)bpf_task_pt_regs(sleeper);
  __u64 lock = argument_of(asleep, 0);
  __s32 nr = system_call_of(regs);
  if (nr == constants.nr_exit) {
    return (__u64)waker->clear_child_tid == lock;  // pthread_join
  }
  if (nr != constants.nr_futex && nr != constants.nr_futex_wake) {
    return 0;
  }
  int is_same = argument_of(regs, 0) == lock;
  if (waker->tgid != sleeper->tgid) {
    // The same word may lie elsewhere in another process, where it is shared. Else an interrupt
    // found that process on its way to a lock of its own.
    int is_shared = system_call_of(asleep) != constants.nr_futex ||
                    !((argument_of(asleep, 1) | argument_of(regs, 1)) & kPrivate);
    if (!is_shared) {
      return 0;
    }
    is_same = 1;
  }
  __u32 operation = nr == constants.nr_futex ? (__u32)argument_of(regs, 1) & kMask : kWake;
  if (operation == kWake || operation == kWakeBits || operation == kUnlock) {
    return is_same;
  }
  return operation == kRequeue || operation == kRequeueIf || operation == kWakeOp;
}

SEC("tp_btf/sched_waking")
int on_waking(unsigned long long* context) {
  struct task_struct* task = (struct task_struct*)context[0];
  if (!may_be_target((__u32)task->tgid)) {
    return 0;
  }
  struct wait_thread* thread = known_thread(task);
  if (!thread) {
    return 0;
  }
  if (!thread->off_since) {
    thread->woken_early = bpf_ktime_get_ns();
    return 0;
  }
  if (thread->woken_at > thread->off_since || thread->key.why == WAIT_PREEMPTED ||
      thread->key.why == WAIT_THROTTLED || thread->key.why == WAIT_RUNNABLE) {
    return 0;
  }
  thread->woken_at = bpf_ktime_get_ns();
  if (is_lock(thread->key.system_call)) {
    // Else it is a time-out: an interrupt, in whatever thread it found.
    struct task_struct* waker = bpf_get_current_task_btf();
    if (ends_wait_of(waker, task)) {
      thread->key.waker = (__u32)waker->pid;
    }
  }
  return 0;
}

// A new thread can run from now on.
static __always_inline void begin_thread(struct task_struct* child) {
  struct wait_thread begin = {.off_since = bpf_ktime_get_ns()};
  begin.key.thread = (__u32)child->pid;
  begin.key.process = (__u32)child->tgid;
  begin.key.system_call = -1;
  begin.key.why = WAIT_RUNNABLE;
  bpf_map_update_elem(&threads, &begin.key.thread, &begin, BPF_ANY);
}

// ---- Threads that were asleep before we came ----------------------------------------------------

struct bpf_iter_meta {
  struct seq_file* seq;
} __attribute__((preserve_access_index));
struct bpf_iter__task {
  struct bpf_iter_meta* meta;
  struct task_struct* task;
} __attribute__((preserve_access_index));

// Only one reader at a time, and a program here may be interrupted: a place of its own.
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct wait_stack_record);
} sleeper SEC(".maps");

// Writes a wait_stack_record without a stack for each, which user space reads from the sleeper.
SEC("iter/task")
int on_iteration(struct bpf_iter__task* context) {
  struct task_struct* task = context->task;
  if (!task || !is_target((__u32)task->tgid)) {
    return 0;
  }
  __u32 state = (__u32)task->__state;
  if ((state & kTaskDead) || task->on_cpu) {
    return 0;
  }
  __u32 number = (__u32)task->pid;
  struct pt_regs* regs = (struct pt_regs*)bpf_task_pt_regs(task);
  struct wait_thread begin = {.off_since = shared.attached_at,
                              .account = task->se.sum_exec_runtime};
  begin.key.thread = number;
  begin.key.process = (__u32)task->tgid;
  begin.key.system_call = system_call_of(regs);
  begin.key.why = why_off(task, 0, state, begin.key.system_call);
  begin.key.stack = new_stack_number();
  if ((state & kTaskUninterruptible) && !(state & kTaskNoLoad)) {
    begin.key.flags |= WAIT_UNINTERRUPTIBLE;
  }
  if (begin.key.why == WAIT_BLOCKED) {
    // Not what is named in memory: here that would be the reader's own.
    begin.key.flags |= is_for_time(regs, begin.key.system_call);
    begin.key.object = rule_of(begin.key.system_call) == WAIT_FD_FIRST
                           ? object_of(task, regs, begin.key.system_call)
                           : 0;
  }
  // Fails for a thread that has run since the attach: then it is known by now.
  if (bpf_map_update_elem(&threads, &number, &begin, BPF_NOEXIST)) {
    return 0;
  }
  __u32 zero = 0;
  struct wait_stack_record* record = bpf_map_lookup_elem(&sleeper, &zero);
  if (!record) {
    return 0;
  }
  record->head.type = WAIT_STACK_RECORD;
  record->head.process = begin.key.process;
  record->when = shared.attached_at;
  record->stack = begin.key.stack;
  record->same_as = 0;
  record->thread = number;
  record->system_call = begin.key.system_call;
  record->stack_bytes = 0;
  bpf_probe_read_kernel(record->registers, kBytesOfRegisters, regs);
  long kernel = bpf_get_task_stack(task, record->kernel_stack, sizeof(record->kernel_stack), 0);
  record->kernel_frames = kernel > 0 ? (__u32)kernel / 8 : 0;
  bpf_seq_write(context->meta->seq, record, sizeof(*record));
  return 0;
}
