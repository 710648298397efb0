#!/usr/bin/env python3
"""Program files and libraries that come, go and change under a running process: what is named is what was loaded."""

import os
import shutil
import subprocess
import sys

import whyslow_testing as t

LIBRARY = """
#include <stdint.h>
#include <time.h>
static volatile uint64_t sink;
static long now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1000000000 + t.tv_nsec; }
__attribute__((noinline)) void NAME(long until) {
  while (now() < until) for (int i = 0; i < 100000; ++i) sink = (sink + i) * 2654435761u;
}
void burn(long nanos) { NAME(now() + nanos); sink ^= 1; }
"""

# Loads A, says where, and burns there; `late` waits a second before; `swap` loads A and B in turns.
PROGRAM = """
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
typedef void (*Burn)(long);
static void* load(const char* path) {
  void* library = dlopen(path, RTLD_NOW);
  if (!library) { puts(dlerror()); exit(1); }
  return library;
}
int main(int argc, char** argv) {
  const char* mode = argv[1];
  alarm(60);
  if (!strcmp(mode, "late")) { printf("READY\\n"); fflush(stdout); sleep(1); }
  void* a = load(argv[2]);
  void* where_a = dlsym(a, "burn");
  if (!strcmp(mode, "swap")) {
    dlclose(a);
    void* b = load(argv[3]);
    printf("READY %s\\n", dlsym(b, "burn") == where_a ? "same" : "other");
    fflush(stdout);
    dlclose(b);
    for (int i = 0;; ++i) {
      void* library = load(argv[2 + i % 2]);
      ((Burn)dlsym(library, "burn"))(50000000);
      dlclose(library);
    }
  }
  printf("READY\\n");
  fflush(stdout);
  for (;;) ((Burn)where_a)(100000000);
}
"""


class Case(t.Case):
    def setUp(self):
        super().setUp()
        (self.folder / "library.c").write_text(LIBRARY, encoding="utf-8")
        (self.folder / "program.c").write_text(PROGRAM, encoding="utf-8")
        self.alpha = self.build("libalpha.so", "library.c", "-fPIC", "-shared", "-DNAME=alpha_work")
        self.beta = self.build("libbeta.so", "library.c", "-fPIC", "-shared", "-DNAME=beta_work")
        self.program = self.build("program", "program.c")

    def build(self, name, source, *flags):
        subprocess.run(["gcc", "-O2", "-g", *flags, "-o", self.folder / name, self.folder / source], check=True)
        return self.folder / name

    def start(self, *arguments):
        child = t.Child([self.program, *map(str, arguments)])
        self.addCleanup(child.__exit__)
        return child, child.wait_for_line("READY")

    def profile(self, pid, *options, duration="2s", **how):
        return self.assert_profile(self.attach(pid, "--duration", duration, "--frequency", 499, *options, **how))


class Libraries(Case):
    def test_one_that_is_replaced_by_an_upgrade_before_the_attach(self):
        child, _ = self.start("now", self.alpha)
        os.rename(self.beta, self.alpha)  # as package managers do it
        for name, user, options in t.variants():
            if user is not None:
                continue  # not their process
            with self.subTest(name):
                folded = self.profile(child.pid, *options)
                self.assertGreater(folded.share("alpha_work"), 0.9, folded.summary())
                self.assertEqual(folded.share("beta_work"), 0, folded.summary())

    def test_one_that_is_replaced_is_not_named_by_its_successor(self):
        """Where the file that was loaded cannot be reached, its code has no names rather than wrong ones."""
        if os.geteuid() != 0:
            self.skipTest("wants root, to give up a right")
        child, _ = self.start("now", self.alpha)
        os.rename(self.beta, self.alpha)
        folded = self.profile(child.pid, user=["setpriv", "--bounding-set=-sys_admin,-checkpoint_restore"])
        self.assertEqual(folded.share("beta_work"), 0, folded.summary())
        self.assertGreater(folded.weight(lambda frames: any("libalpha.so" in f for f in frames)), 0, folded.summary())

    def test_one_that_is_deleted_during_the_profile(self):
        child, _ = self.start("late", self.alpha)
        with t.Child(["sh", "-c", f"sleep 1.7; rm {self.alpha}"]):
            folded = self.profile(child.pid, duration="3s")
        self.assertGreater(folded.share("alpha_work"), 0.9, folded.summary())

    def test_one_that_is_loaded_during_the_profile(self):
        child, _ = self.start("late", self.alpha)
        folded = self.profile(child.pid, duration="3s")
        self.assertGreater(folded.share("alpha_work"), 0.9, folded.summary())
        self.assertLess(folded.truncated_share(), 0.01, folded.summary())

    def test_two_that_take_turns_at_one_address(self):
        child, words = self.start("swap", self.alpha, self.beta)
        if words[1] != "same":
            self.skipTest("the loader put them at different addresses")
        folded = self.profile(child.pid, duration="3s")
        for name in ("alpha_work", "beta_work"):
            self.assertGreater(folded.share(name), 0.25, folded.summary())
            self.assertLess(folded.share(name), 0.75, folded.summary())
        self.assertLess(folded.truncated_share(), 0.01, folded.summary())


class Programs(Case):
    SPLIT = ("burn_fifty", "burn_thirty", "burn_twenty")

    def test_one_that_is_replaced_while_it_runs(self):
        place = self.folder / "server"
        shutil.copy(t.TARGETS / "split_50_30_20", place)
        with t.Child([place, "20"]) as target:
            target.wait_for_line("READY")
            shutil.copy(t.TARGETS / "kernel_heavy", self.folder / "new")
            os.rename(self.folder / "new", place)
            folded = self.profile(target.pid)
        self.assertGreater(folded.share(*self.SPLIT), 0.9, folded.summary())
        self.assertLess(folded.truncated_share(), 0.01, folded.summary())

    def test_one_that_never_was_a_file(self):
        memory = os.memfd_create("program", 0)
        self.addCleanup(os.close, memory)
        with open(t.TARGETS / "split_50_30_20", "rb") as program, os.fdopen(os.dup(memory), "wb") as copy:
            shutil.copyfileobj(program, copy)
        process = subprocess.Popen([f"/proc/self/fd/{memory}", "20"], pass_fds=[memory], stdout=subprocess.PIPE)
        try:
            process.stdout.readline()
            folded = self.profile(process.pid)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
        self.assertGreater(folded.share(*self.SPLIT), 0.9, folded.summary())
        self.assertLess(folded.truncated_share(), 0.01, folded.summary())


if __name__ == "__main__":
    if shutil.which("gcc") is None:
        print("SKIPPED: gcc is not installed")
        sys.exit(t.SKIPPED)
    t.main()
