#!/usr/bin/env python3
"""Code that the kernel gets at run time: BPF programs have their names in kernel stacks, also those that were loaded
after the attach and are gone before names are looked for."""

import shutil
import subprocess
import sys

import whyslow_testing as t

# Loads a BPF program of a bounded loop by bpf(2) itself and lets the kernel run it again and again.
PROGRAM = """
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long bpf(int command, union bpf_attr* attributes) {
  return syscall(SYS_bpf, command, attributes, sizeof(*attributes));
}
static int load(void) {
  const struct bpf_insn code[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_1, .imm = 5000},
      {.code = BPF_ALU64 | BPF_ADD | BPF_X, .dst_reg = BPF_REG_0, .src_reg = BPF_REG_1},
      {.code = BPF_ALU64 | BPF_SUB | BPF_K, .dst_reg = BPF_REG_1, .imm = 1},
      {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = BPF_REG_1, .off = -3, .imm = 0},
      {.code = BPF_JMP | BPF_EXIT},
  };
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof(attributes));
  attributes.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
  attributes.insns = (unsigned long)code;
  attributes.insn_cnt = sizeof(code) / sizeof(code[0]);
  attributes.license = (unsigned long)"Dual BSD/GPL";
  strcpy(attributes.prog_name, "spin_in_kernel");
  return bpf(BPF_PROG_LOAD, &attributes);
}
static void run(int program, int seconds) {
  char packet[64] = {0};
  const time_t end = time(NULL) + seconds;
  while (time(NULL) < end) {
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof(attributes));
    attributes.test.prog_fd = program;
    attributes.test.data_in = (unsigned long)packet;
    attributes.test.data_size_in = sizeof(packet);
    attributes.test.repeat = 1000;
    if (bpf(BPF_PROG_TEST_RUN, &attributes) != 0) { perror("BPF_PROG_TEST_RUN"); exit(1); }
  }
}
int main(int argc, char** argv) {
  const int is_late = argc > 1 && !strcmp(argv[1], "late");
  alarm(60);
  int program = load();
  if (program < 0) {
    printf("READY refused: %s\\n", strerror(errno));
    return 0;
  }
  if (is_late) close(program);
  puts("READY");
  fflush(stdout);
  if (is_late) {
    sleep(1);
    program = load();
  }
  run(program, is_late ? 3 : 20);
  close(program);
  sleep(30);
  return 0;
}
"""


class Bpf(t.Case):
    def profile(self, mode, *options):
        (self.folder / "spin.c").write_text(PROGRAM, encoding="utf-8")
        program = self.folder / "spin"
        subprocess.run(["gcc", "-O2", "-o", program, self.folder / "spin.c"], check=True)
        with t.Child([program, mode]) as target:
            words = target.wait_for_line("READY")
            if len(words) > 1:
                self.skipTest("the kernel takes no BPF program: " + target.lines[-1])
            return self.assert_profile(self.attach(target.pid, "--frequency", 499, *options))

    def check(self, folded):
        def runs(frames):
            return any(frame.startswith("bpf_prog_") and frame.endswith("_spin_in_kernel_[k]") for frame in frames)
        self.assertGreater(folded.total, 30, folded.summary())
        self.assertGreater(folded.weight(runs) / folded.total, 0.8, folded.summary())
        # In its place: on the system call of the program that had it run.
        called = folded.weight(lambda frames: runs(frames) and "main" in frames and frames.index("main") < len(frames) - 3)
        self.assertGreater(called / folded.total, 0.8, folded.summary())

    def test_a_program_that_was_there_before(self):
        self.check(self.profile("early", "--duration", "2s"))

    def test_a_program_that_comes_and_goes(self):
        for name, user, options in t.variants():
            if user is None:
                with self.subTest(name):
                    self.check(self.profile("late", "--duration", "5s", *options))


if __name__ == "__main__":
    if not t.may_sample_all_cpus():
        print("SKIPPED: BPF programs and kernel stacks want root")
        sys.exit(t.SKIPPED)
    if shutil.which("gcc") is None:
        print("SKIPPED: gcc is not installed")
        sys.exit(t.SKIPPED)
    t.main()
