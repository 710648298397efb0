#!/usr/bin/env python3
"""Our pprof files in Go's own reader, and Go's files through ours: go_pprof_test.py PROFILE_TOOL"""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

SKIP = 77  # what ctest takes for "skipped"
TOOL = None

# Burns processor time under labels, and keeps memory, so that the profiles have all that Go writes.
GO_PROGRAM = """
package main

import (
	"context"
	"os"
	"runtime"
	"runtime/pprof"
	"time"
)

var kept [][]byte

//go:noinline
func burn(until time.Time) (sum int) {
	for time.Now().Before(until) {
		for i := 0; i < 10000; i++ {
			sum += i * i
		}
	}
	return sum
}

func main() {
	cpu, _ := os.Create(os.Args[1])
	pprof.StartCPUProfile(cpu)
	pprof.Do(context.Background(), pprof.Labels("endpoint", "GET /; <x>", "tenant", "a"),
		func(context.Context) { burn(time.Now().Add(400 * time.Millisecond)) })
	for i := 0; i < 64; i++ {
		kept = append(kept, make([]byte, 1<<16))
	}
	pprof.StopCPUProfile()
	cpu.Close()
	runtime.GC()
	heap, _ := os.Create(os.Args[2])
	pprof.Lookup("heap").WriteTo(heap, 0)
	heap.Close()
}
"""


def missing_program():
    if shutil.which("go") is None:
        return "go is not installed"
    if subprocess.run(["go", "tool", "pprof", "-h"], capture_output=True,
                      env=quiet_environment(), check=False).returncode not in (0, 2):
        return "go tool pprof does not run"
    return None


def quiet_environment():
    # No module of anyone is needed, and nothing may be asked from the network.
    return {**os.environ, "GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOTOOLCHAIN": "local",
            "GOTELEMETRY": "off", "PPROF_TMPDIR": tempfile.gettempdir()}


def pprof(*arguments):
    return subprocess.run(["go", "tool", "pprof", *arguments], check=True, capture_output=True,
                          text=True, env=quiet_environment(), timeout=300).stdout


def tool(*arguments):
    subprocess.run([TOOL, *arguments], check=True, timeout=300)


class GoPprof(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.holder = tempfile.TemporaryDirectory(prefix="whyslow-go-")
        cls.addClassCleanup(cls.holder.cleanup)
        cls.folder = cls.holder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def sample(self, name):
        out = self.path(name + ".pb.gz")
        tool("sample", name, out)
        return out

    def test_go_opens_our_profile_with_exact_numbers(self):
        top = pprof("-top", "-unit=ms", self.sample("server"))
        self.assertIn("Total samples = 1000ms", top.replace(" (  100%)", ""))
        self.assertRegex(top, r"250ms\s+25\.00%.*\[wait: socket\]")
        self.assertRegex(top, r"700ms\s+70\.00%\s+Worker\.serve")
        self.assertIn("push_back(int const&) (inline)", top)

    def test_our_default_column_and_types_reach_go(self):
        raw = pprof("-raw", self.sample("server"))
        self.assertIn("cpu_samples/count cpu/nanoseconds waits/count wait/nanoseconds "
                      "wall/nanoseconds[dflt]", raw)
        self.assertIn("1: 0x1000/0x1000000/0x1000 /usr/bin/python3.11", raw)
        self.assertIn("protocol:[postgresql]", raw)

    def test_go_skips_our_own_field_and_shows_waits(self):
        waits = self.sample("waits")
        top = pprof("-top", "-unit=ms", "-sample_index=wait", waits)
        self.assertRegex(top, r"9000ms\s+59\.37%.*\[wait: condition\]")
        self.assertIn("idle:[yes]", pprof("-raw", waits))
        again = self.path("again.pb.gz")
        tool("convert", waits, again)
        self.assertEqual(pprof("-raw", waits), pprof("-raw", again))

    def test_labels_can_be_roots_in_go(self):
        tree = pprof("-top", "-unit=ms", "-tagroot=endpoint", self.sample("server"))
        self.assertRegex(tree, r"GET /users/<id>")

    def test_names_in_any_bytes_reach_go_as_utf8(self):
        top = pprof("-top", self.sample("hostile"))
        self.assertIn("日本語の関数名", top)
        self.assertIn("bad utf-8 \\xff\\xc3(\\xed", top)

    def test_a_cpu_profile_shows_its_samples(self):
        top = pprof("-top", "-sample_index=cpu_samples", self.sample("cpu"))
        self.assertRegex(top, r"70\s+70\.00%.*sort")

    def go_profiles(self):
        source = self.path("main.go")
        with open(source, "w", encoding="utf-8") as out:
            out.write(GO_PROGRAM)
        program = self.path("program")
        subprocess.run(["go", "build", "-o", program, source], check=True, cwd=self.folder,
                       env=quiet_environment(), timeout=300)
        cpu, heap = self.path("go-cpu.pb.gz"), self.path("go-heap.pb.gz")
        subprocess.run([program, cpu, heap], check=True, timeout=60)
        return cpu, heap

    def test_gos_profiles_pass_through_ours_unchanged(self):
        for before in self.go_profiles():
            after = before.replace(".pb.gz", ".again.pb.gz")
            tool("convert", before, after)
            self.assertEqual(pprof("-raw", before), pprof("-raw", after))

    def test_gos_profiles_become_pictures_and_lists(self):
        cpu, heap = self.go_profiles()
        for before in (cpu, heap):
            tool("convert", before, self.path("go.svg"))
            tool("convert", before, self.path("go.folded"))
            with open(self.path("go.folded"), encoding="utf-8") as lines:
                stacks = [line.rsplit(" ", 1) for line in lines]
            total = sum(int(value) for _, value in stacks)
            self.assertGreater(total, 0)
            # Go's runtime has samples of its own that consist of one frame.
            with_callers = sum(int(value) for stack, value in stacks if ";" in stack)
            self.assertGreater(with_callers, 0.9 * total)
            if before == cpu:
                self.assertIn("main.burn", "".join(stack for stack, _ in stacks))


if __name__ == "__main__":
    reason = missing_program()
    if reason:
        print(f"skipped: {reason}")
        sys.exit(SKIP)
    TOOL = sys.argv.pop(1)
    unittest.main(verbosity=2)
