// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
//
// What runs in the kernel for us: drops samples of processes that are not profiled, takes in the
// children of those that are, and tells the exact run time of each thread that has ended.
//
// Where waits are wanted, every switch of a target's thread is timed (waits.bpf.h). Else no program
// here runs at context switches: with a million of them a second each nanosecond counts.
// Kernel structures are declared with the few fields that are read; their offsets come from the
// running kernel's BTF when the program is loaded (CO-RE).

// linux/bpf.h first: it has the types that the others use.
// clang-format off
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
// clang-format on

#include "sampler/bpf/ended_thread.h"
#include "sampler/bpf/kernel_types.bpf.h"

// Process number -> anything. Written by user space and by `on_fork`.
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 16384);  // allocated at once, as kernels before 6.1 demand
  __type(key, __u32);
  __type(value, __u8);
} targets SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 256 * 1024);
} ended_threads SEC(".maps");

// On the sampling events: 0 drops the sample before any of it is collected.
SEC("perf_event")
int filter_sample(void* context) {
  __u32 process = bpf_get_current_pid_tgid() >> 32;
  return bpf_map_lookup_elem(&targets, &process) != 0;
}

#include "sampler/bpf/python.bpf.h"
#include "sampler/bpf/waits.bpf.h"

// The same, where frames of Python code are wanted.
SEC("perf_event")
int filter_python_sample(void* context) {
  __u64 ids = bpf_get_current_pid_tgid();
  __u32 process = ids >> 32;
  if (!bpf_map_lookup_elem(&targets, &process)) {
    return 0;
  }
  tell_python_sample((struct task_struct*)bpf_get_current_task(), process, (__u32)ids);
  return 1;
}

// Threads begin: for the waits of processes whose children are not followed.
SEC("tp_btf/sched_process_fork")
int on_thread(unsigned long long* context) {
  struct task_struct* parent = (struct task_struct*)context[0];
  struct task_struct* child = (struct task_struct*)context[1];
  __u32 process = (__u32)child->tgid;
  if (is_target(process) || (constants.follows_children && is_target((__u32)parent->tgid))) {
    begin_thread(child);
  }
  return 0;
}

// A thread other than the main one takes the main one's number when it execs.
SEC("tp_btf/sched_process_exec")
int on_exec(unsigned long long* context) {
  struct task_struct* task = (struct task_struct*)context[0];
  __u32 before = (__u32)context[1];
  __u32 now = (__u32)task->pid;
  if (before == now || !is_target((__u32)task->tgid)) {
    return 0;
  }
  struct wait_thread* thread = bpf_map_lookup_elem(&threads, &before);
  if (!thread) {
    return 0;
  }
  struct wait_thread moved = *thread;
  moved.key.thread = now;
  bpf_map_update_elem(&threads, &now, &moved, BPF_ANY);
  bpf_map_delete_elem(&threads, &before);
  return 0;
}

SEC("raw_tp/sched_process_fork")
int on_fork(struct bpf_raw_tracepoint_args* context) {
  struct task_struct* parent = (struct task_struct*)context->args[0];
  struct task_struct* child = (struct task_struct*)context->args[1];
  __u32 parent_process = BPF_CORE_READ(parent, tgid);
  __u32 child_process = BPF_CORE_READ(child, tgid);
  if (parent_process == child_process || !bpf_map_lookup_elem(&targets, &parent_process)) {
    return 0;
  }
  __u8 yes = 1;
  bpf_map_update_elem(&targets, &child_process, &yes, BPF_ANY);
  __u32 bit = wait_filter_bit(child_process);
  __sync_fetch_and_or(&shared.filter[bit / 64 & (WAIT_FILTER_WORDS - 1)], 1ULL << (bit % 64));
  inherit_code(parent_process, child_process);
  inherit_python(parent_process, child_process);
  return 0;
}

static int report_end(struct task_struct* task, __u32 is_final) {
  __u32 process = BPF_CORE_READ(task, tgid);
  if (!bpf_map_lookup_elem(&targets, &process)) {
    return 0;
  }
  struct ended_thread* ended = bpf_ringbuf_reserve(&ended_threads, sizeof(*ended), 0);
  if (!ended) {
    return 0;  // user space asks /proc in vain then and keeps the last account it got there
  }
  ended->when = bpf_ktime_get_ns();
  ended->run_time = BPF_CORE_READ(task, se.sum_exec_runtime);
  ended->process = process;
  ended->thread = BPF_CORE_READ(task, pid);
  ended->is_final = is_final;
  ended->unused = 0;
  bpf_ringbuf_submit(ended, BPF_RB_NO_WAKEUP);  // collected with the rings, on a timer
  return 0;
}

// The last reference to a thread is dropped after it has left its CPU for the last time and was
// reaped, so its account is final here. That is an RCU callback, which a CPU that fell idle may
// leave undone for long: what is known at the exit has to do then.
SEC("raw_tp/sched_process_free")
int on_free(struct bpf_raw_tracepoint_args* context) {
  return report_end((struct task_struct*)context->args[0], 1);
}

SEC("raw_tp/sched_process_exit")
int on_exit(struct bpf_raw_tracepoint_args* context) {
  return report_end((struct task_struct*)context->args[0], 0);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
