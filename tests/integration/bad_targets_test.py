#!/usr/bin/env python3
"""Targets and command lines that cannot be profiled: the right exit code, one line that says why, no file."""

import os
import pathlib
import shutil
import subprocess
import time

import whyslow_testing as t
from pprof_file import PprofFile


class Refused(t.Case):
    def check(self, outcome, code):
        self.assertEqual(outcome.code, code, outcome.stderr)
        self.assertEqual(outcome.files(), [])
        self.assertRegex(outcome.stderr, r"(?m)^whyslow: error: .+")
        self.assertNotIn("Traceback", outcome.stderr)

    def test_a_pid_that_is_not_there(self):
        self.check(self.attach(4_194_304 - 1, "--duration", "1s"), 4)

    def test_a_zombie(self):
        zombie = subprocess.Popen(["true"])
        self.addCleanup(zombie.wait)
        t.wait_until(lambda: ") Z " in pathlib.Path(f"/proc/{zombie.pid}/stat").read_text(), what="a zombie")
        self.check(self.attach(zombie.pid, "--duration", "1s"), 4)

    def test_a_kernel_thread(self):
        if not pathlib.Path("/proc/2/comm").exists() or pathlib.Path("/proc/2/cmdline").read_bytes():
            self.skipTest("no kernel thread is visible here")
        self.check(self.attach(2, "--duration", "1s"), 4)

    def test_a_process_of_32_bits(self):
        source = self.folder / "small.S"
        source.write_text(".globl _start\n_start: jmp _start\n")
        program = self.folder / "small"
        built = subprocess.run(["gcc", "-m32", "-nostdlib", "-static", "-o", program, source], capture_output=True)
        if built.returncode != 0:
            self.skipTest("no 32-bit program can be linked here")
        try:
            child = t.Child([program])
        except OSError as error:
            self.skipTest(f"32-bit programs do not run here: {error}")
        with child:
            time.sleep(0.1)
            if child.process.poll() is not None:
                self.skipTest("32-bit programs do not run here")
            outcome = self.attach(child.pid, "--duration", "1s")
            self.check(outcome, 4)
            self.assertIn("32", outcome.stderr)

    def test_somebody_elses_process(self):
        if os.geteuid() != 0:
            self.skipTest("wants root, to have two users")
        with t.start_target("sleeper", 10) as target:
            self.check(self.attach(target.pid, "--duration", "1s", user=t.UNPRIVILEGED), 3)


class WrongUsage(t.Case):
    def run_whyslow(self, *arguments, **how):
        return subprocess.run([t.WHYSLOW, *arguments], capture_output=True, text=True, timeout=60,
                              stdin=subprocess.DEVNULL, cwd=self.folder, **how)

    def test_usage_errors_are_two(self):
        me = str(os.getpid())
        for arguments in (["attach"], ["attach", "--pid", "abc"], ["attach", "--pid", "-5"], ["attach", "--pid", ""],
                          ["attach", "--pid", me, "--duration", "soon"], ["attach", "--pid", me, "--duration", "-1s"],
                          ["attach", "--pid", me, "--frequency", "0"], ["attach", "--pid", me, "--frequency", "x"],
                          ["attach", "--pid", me, "--no-such-option"], ["no-such-command"],
                          ["attach", "--pid", me, "--output", "profile.unknown"],
                          ["report"], ["export", "x.pb.gz"]):
            with self.subTest(" ".join(arguments)):
                ended = self.run_whyslow(*arguments)
                self.assertEqual(ended.returncode, 2, ended.stderr)
                self.assertTrue(ended.stderr.strip())
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_help_and_version_are_zero_and_on_standard_output(self):
        for arguments in (["--version"], ["--help"], ["attach", "--help"]):
            ended = self.run_whyslow(*arguments)
            self.assertEqual((ended.returncode, ended.stderr), (0, ""))
            self.assertTrue(ended.stdout.strip())

    def test_files_that_are_no_profiles_are_refused(self):
        for name, content in (("empty.pb.gz", b""), ("text.pb.gz", b"not gzip"), ("cut.pb.gz", b"\x1f\x8b\x08\x00")):
            (self.folder / name).write_bytes(content)
            ended = self.run_whyslow("report", name)
            self.assertEqual(ended.returncode, 1, ended.stderr)
            self.assertRegex(ended.stderr, r"^whyslow: error: .+")


class Outputs(t.Case):
    def test_a_folder_that_is_not_there_is_found_before_profiling(self):
        with t.start_target("split_50_30_20", 20) as target:
            begin = time.monotonic()
            ended = subprocess.run([t.WHYSLOW, "attach", "--pid", str(target.pid), "--duration", "15s", "--output",
                                    self.folder / "missing" / "p.svg"], capture_output=True, text=True, timeout=60)
            self.assertIn(ended.returncode, (1, 2))
            self.assertRegex(ended.stderr, r"(?m)^whyslow: error: .+")
            self.assertLess(time.monotonic() - begin, 10)

    def test_files_are_for_their_owner_only(self):
        with t.start_target("split_50_30_20", 20) as target:
            outcome = self.attach(target.pid, "--duration", "1s")
            self.assert_profile(outcome)
            self.assertEqual({oct(path.stat().st_mode & 0o777) for path in outcome.files()}, {"0o600"})

    def test_a_full_disk_leaves_nothing_behind(self):
        if os.geteuid() != 0:
            self.skipTest("wants root, to mount")
        small = self.folder / "small"
        small.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "none", small], capture_output=True)
        if mounted.returncode != 0:
            self.skipTest("mounting is not permitted here")
        self.addCleanup(subprocess.run, ["umount", small])
        with t.start_target("split_50_30_20", 20) as target:
            ended = subprocess.run([t.WHYSLOW, "attach", "--pid", str(target.pid), "--duration", "1s", "--output",
                                    small / "p.svg"], capture_output=True, text=True, timeout=60)
            self.assertEqual(ended.returncode, 1, ended.stderr)
            self.assertEqual(list(small.iterdir()), [])

    def test_folded_stacks_on_standard_output(self):
        with t.start_target("split_50_30_20", 20) as target:
            ended = subprocess.run([t.WHYSLOW, "attach", "--pid", str(target.pid), "--duration", "1s", "--output", "-",
                                    "--format", "folded"], capture_output=True, timeout=60)
            self.assertEqual(ended.returncode, 0, ended.stderr)
            self.assertGreater(t.Folded(ended.stdout).total, 0)


class UnusualPrograms(t.Case):
    """Not bad at all, but built or treated in ways that trip profilers."""

    def profile_of(self, program, expect):
        with t.Child([program, "20"]) as target:
            target.wait_for_line("READY")
            outcome = self.attach(target.pid, "--duration", "2s", "--frequency", 999)
            folded = self.assert_profile(outcome)
            self.assertEqual(PprofFile(outcome.pprof).problems(), [])
            self.assertGreater(folded.total, 200)
            if expect:
                self.assertGreater(folded.share(*expect), 0.9, folded.summary())
            self.assertLess(folded.truncated_share(), 0.01, folded.summary())
            return folded

    def build(self, name, *flags, compiler="g++"):
        if shutil.which(compiler) is None:
            self.skipTest(f"{compiler} is not installed")
        source = pathlib.Path(__file__).resolve().parent.parent / "targets" / "split_50_30_20.cc"
        program = self.folder / name
        subprocess.run([compiler, "-std=c++20", "-O2", "-fomit-frame-pointer", *flags, "-o", program, source],
                       check=True, timeout=120)
        program.chmod(0o755)
        return program

    FUNCTIONS = ("burn_fifty", "burn_thirty", "burn_twenty")

    def test_a_stripped_program_has_whole_stacks_without_names(self):
        folded = self.profile_of(self.build("stripped", "-s"), ())
        self.assertTrue(any("[stripped+0x" in frame for frames, _ in folded.stacks for frame in frames))

    def test_a_static_program(self):
        self.profile_of(self.build("static", "-static"), self.FUNCTIONS)

    def test_a_program_at_a_fixed_address(self):
        self.profile_of(self.build("fixed", "-no-pie"), self.FUNCTIONS)

    def test_a_program_without_the_table_of_unwind_information(self):
        self.profile_of(self.build("no_header", "-Wl,--no-eh-frame-hdr"), self.FUNCTIONS)

    def test_a_program_with_compressed_debug_information(self):
        self.profile_of(self.build("compressed", "-g", "-gz"), self.FUNCTIONS)

    def test_a_program_whose_file_is_deleted_while_it_runs(self):
        program = self.build("deleted", "-g")
        with t.Child([program, "20"]) as target:
            target.wait_for_line("READY")
            program.unlink()
            outcome = self.attach(target.pid, "--duration", "2s", "--frequency", 999)
            folded = self.assert_profile(outcome)
            self.assertGreater(folded.share(*self.FUNCTIONS), 0.9, folded.summary())


if __name__ == "__main__":
    t.main()
