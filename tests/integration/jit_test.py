#!/usr/bin/env python3
"""Code that node makes at run time: its names from the perf map and from the jitdump, its stacks down to main."""

import shutil
import subprocess
import sys
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


if __name__ == "__main__":
    if shutil.which("node") is None:
        print("SKIPPED: node is not installed")
        sys.exit(t.SKIPPED)
    t.main()
