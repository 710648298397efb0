// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
//
// The kernel's structures with the few fields that are read. Their offsets come from the running
// kernel's BTF when the programs are loaded (CO-RE).

#pragma once

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct sock;

struct cfs_rq {
  int throttle_count;
};

struct sched_entity {
  __u64 sum_exec_runtime;
  struct cfs_rq* cfs_rq;
};

struct qstr {
  const unsigned char* name;
};

struct dentry {
  struct qstr d_name;
};

struct path {
  struct dentry* dentry;
};

struct super_block {
  __u32 s_dev;
  unsigned long s_magic;
};

struct inode {
  unsigned short i_mode;
  struct super_block* i_sb;
  unsigned long i_ino;
  __u32 i_generation;
};

struct file {
  struct path f_path;
  const void* f_op;
  struct inode* f_inode;
  void* private_data;
};

struct fdtable {
  unsigned int max_fds;
  struct file** fd;
};

struct files_struct {
  struct fdtable* fdt;
};

#if defined(__TARGET_ARCH_x86)
struct thread_struct {
  unsigned long fsbase;
};
#else
struct thread_struct {
  struct {
    unsigned long tp_value;
  } uw;
};
#endif

struct task_struct {
  unsigned int __state;
  int on_cpu;
  int pid;
  int tgid;
  struct sched_entity se;
  unsigned long jobctl;
  unsigned in_iowait : 1;
  _Bool throttled;
  struct files_struct* files;
  int* clear_child_tid;
  __u64 start_time;
  struct task_struct* group_leader;
  struct thread_struct thread;
};

struct in6_addr {
  __u8 bytes[16];
};

struct sock_common {
  __u32 skc_daddr;
  __u32 skc_rcv_saddr;
  __u16 skc_dport;
  __u16 skc_num;
  unsigned short skc_family;
  volatile unsigned char skc_state;
  struct in6_addr skc_v6_daddr;
  struct in6_addr skc_v6_rcv_saddr;
};

struct sock {
  struct sock_common __sk_common;
  __u16 sk_type;
  __u16 sk_protocol;
};

struct socket {
  struct sock* sk;
};

struct unix_address {
  int len;
  struct {
    unsigned short sun_family;
    char sun_path[108];
  } name[];
};

struct unix_sock {
  struct unix_address* addr;
  struct sock* peer;
};

struct rb_node {
  struct rb_node* rb_right;
  struct rb_node* rb_left;
};

struct rb_root {
  struct rb_node* rb_node;
};

struct rb_root_cached {
  struct rb_root rb_root;
};

struct eventpoll {
  struct rb_root_cached rbr;
};

struct epoll_filefd {
  struct file* file;
};

struct epitem {
  struct rb_node rbn;
  struct epoll_filefd ffd;
};

#pragma clang attribute pop
