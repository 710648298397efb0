#!/usr/bin/env python3
"""Code made at run time, by node and by a program that knows exactly what it makes: names from the perf map and
from the jitdump, stacks down to main."""

import shutil
import subprocess
import unittest

import whyslow_testing as t

SOURCE = """
function innerHot(n) {
  let x = 1;
  for (let i = 0; i < n; i++) x = (x * 1103515245 + i) % 2147483648;
  return x;
}
function outerCaller() { let s = 0; for (let i = 0; i < 20; i++) s += innerHot(100000); return s; }
const end = Date.now() + 1000 * Number(process.argv[2]);
let first = true;
while (Date.now() < end) {
  outerCaller();
  if (first) { console.log('READY'); first = false; }
}
"""


@unittest.skipIf(shutil.which("node") is None, "node is not installed")
class Node(t.Case):
    def profile(self, *node_options):
        (self.folder / "hot.js").write_text(SOURCE, encoding="utf-8")
        with subprocess.Popen(["node", *node_options, "hot.js", "20"], stdout=subprocess.PIPE, cwd=self.folder) as target:
            try:
                target.stdout.readline()
                return self.attach(target.pid, "--duration", "3s", "--frequency", 499), target.pid
            finally:
                target.kill()
                target.wait()

    def check(self, folded, root_share):
        named = [(frames, count) for frames, count in folded.stacks if any("innerHot" in frame for frame in frames)]
        self.assertGreater(sum(count for _, count in named), 0.85 * folded.total, folded.summary())
        under_caller = sum(count for frames, count in named if any("outerCaller" in frame for frame in frames))
        self.assertGreater(under_caller, 0.5 * folded.total, folded.summary())
        to_main = sum(count for frames, count in named if "__libc_start_call_main" in frames)
        self.assertGreater(to_main, root_share * folded.total, folded.summary())

    def test_the_perf_map_names_functions(self):
        outcome, pid = self.profile("--perf-basic-prof", "--interpreted-frames-native-stack")
        self.addCleanup(lambda: (t.pathlib.Path("/tmp") / f"perf-{pid}.map").unlink(missing_ok=True))
        self.check(self.assert_profile(outcome), 0.85)

    def test_the_jitdump_names_functions_and_lines(self):
        outcome, _pid = self.profile("--perf-prof", "--interpreted-frames-native-stack")
        self.check(self.assert_profile(outcome), 0.85)
        report = subprocess.run([str(t.WHYSLOW), "report", str(outcome.pprof), "--by", "line", "--limit", "20"],
                                check=True, capture_output=True, text=True).stdout
        self.assertRegex(report, r"innerHot.*hot\.js:[345]")


@unittest.skipUnless((t.TARGETS / "jit_maker").exists(), "jit_maker makes code of x86-64 only")
class Made(t.Case):
    """main -> jit_outer (made) -> jit_between -> jit_inner (made) -> jit_callback"""

    CHAIN = ["main", "jit_outer", "jit_between", "jit_inner", "jit_callback"]

    def profile(self, mode, *options):
        with t.start_target("jit_maker", 20, mode, self.folder) as target:
            outcome = self.attach(target.pid, "--duration", "3s", "--frequency", 499, *options)
        return self.assert_profile(outcome)

    def check(self, folded, complete):
        """Stacks whose last frames, of those that are ours, are the first ones of the chain."""
        def is_whole(frames):
            names = [t.plain(frame) for frame in frames[1:]]  # without the thread
            ours = [name for name in names if name.startswith(("jit_", "main"))]
            return "__libc_start_call_main" in names and ours == self.CHAIN[:len(ours)]
        self.assertGreater(folded.total, 60, folded.summary())
        self.assertGreater(folded.weight(is_whole) / folded.total, complete, folded.summary())
        # Not only what the made code called: the made code itself.
        self.assertGreater(folded.weight(lambda frames: frames[-1] in ("jit_outer", "jit_inner")), 0, folded.summary())
        self.assertGreater(folded.share("jit_inner"), 0.8, folded.summary())

    def test_code_without_frame_pointers_is_unwound_by_what_the_dump_tells(self):
        self.check(self.profile("cfi"), 0.99)

    def test_nothing_is_guessed_where_nothing_may_be(self):
        self.check(self.profile("cfi", "--unwind", "dwarf"), 0.99)

    def test_code_with_frame_pointers_needs_no_unwind_information(self):
        self.check(self.profile("fp"), 0.99)

    def test_code_that_moves(self):
        # It moves every 100 ms; the dump is looked at every 200 ms.
        self.assert_never_wrong(self.profile("move"), 0.35)

    def test_other_code_at_the_same_place(self):
        self.assert_never_wrong(self.profile("reuse"), 0.35)

    def assert_never_wrong(self, folded, complete):
        """Whole, or cut and said so."""
        whole = folded.weight(lambda frames: "__libc_start_call_main" in frames and "jit_between" in frames)
        cut = folded.weight(lambda frames: any(frame.startswith("[truncated:") for frame in frames))
        self.assertGreater(whole / folded.total, complete, folded.summary())
        shallow = folded.weight(lambda frames: "jit_between" not in frames and "__libc_start_call_main" in frames)
        self.assertEqual(whole + cut + shallow, folded.total, folded.summary())

    def test_an_ordinary_user_sees_the_same(self):
        if not t.may_sample_all_cpus():
            self.skipTest("wants root, to be somebody else")
        with t.start_target("jit_maker", 20, "cfi", self.folder, user=t.UNPRIVILEGED) as target:
            outcome = self.attach(target.pid, "--duration", "3s", "--frequency", 499, user=t.UNPRIVILEGED)
        self.check(self.assert_profile(outcome), 0.99)


if __name__ == "__main__":
    t.main()
