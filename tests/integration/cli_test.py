#!/usr/bin/env python3
"""The command line from outside: exit codes, stderr, files, signals.

Runs the real program, and a second one whose capture is scripted (tests/fakes/scripted_session.cc) where
the kernel's part does not matter. Tests that need the kernel's permission skip with the reason.
"""

import argparse
import fcntl
import gzip
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

PROGRAMS = argparse.Namespace(whyslow=None, scripted=None)
IS_ROOT = os.geteuid() == 0
NOBODY = 65534
DEADLINE = 60  # seconds that no single run may exceed

BURN = "import time\nend = time.monotonic() + {seconds}\nwhile time.monotonic() < end: sum(range(500))\n"


def burner(seconds=30.0):
    """A process that uses CPU until killed."""
    return subprocess.Popen([sys.executable, "-c", BURN.format(seconds=seconds)])


def wait_until(condition, what):
    end = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"timed out waiting until {what}")
        time.sleep(0.01)


class CliTest(unittest.TestCase):
    program = "whyslow"

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="whyslow-cli-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def command(self, *arguments):
        return [getattr(PROGRAMS, self.program), *map(str, arguments)]

    def run_it(self, *arguments, prefix=(), env=None, **more):
        return subprocess.run([*prefix, *self.command(*arguments)], cwd=self.folder, timeout=DEADLINE, text=True,
                              capture_output=True, env={**os.environ, **(env or {})}, check=False, **more)

    def start(self, *arguments, env=None):
        process = subprocess.Popen(self.command(*arguments), cwd=self.folder, text=True, stderr=subprocess.PIPE,
                                   stdout=subprocess.PIPE, env={**os.environ, **(env or {})})
        self.addCleanup(lambda: (process.poll() is None and process.kill(), process.communicate()))
        return process

    def stop(self, process):
        """Kills a helper process at the end of the test."""
        self.addCleanup(lambda: (process.kill(), process.wait()))
        return process

    def public_copy(self, program):
        """A copy that other users can run, wherever the build folder is."""
        folder = pathlib.Path(tempfile.mkdtemp(prefix="whyslow-bin-"))
        self.addCleanup(shutil.rmtree, folder)
        folder.chmod(0o755)
        return shutil.copy(program, folder)

    def files(self):
        return sorted(entry.name for entry in self.folder.iterdir())

    def assert_fails(self, result, code, *texts):
        """One line 'whyslow: error: WHAT: WHY. REMEDY' with these texts, and the exit code."""
        self.assertEqual(result.returncode, code, result.stderr)
        errors = [line for line in result.stderr.splitlines() if line.startswith("whyslow: error: ")]
        self.assertEqual(len(errors), 1, result.stderr)
        self.assertRegex(errors[0], r"^whyslow: error: .+: .+")
        for text in texts:
            self.assertIn(text, errors[0])

    def need_sampling(self, result):
        if result.returncode == 3 or "cannot sample" in result.stderr:
            self.skipTest("whyslow may not sample here: " + result.stderr.strip())


class Usage(CliTest):
    def test_every_usage_error_is_2(self):
        wrong = [
            [], ["nonsense"], ["--nonsense"], ["attach"], ["attach", "--pid"], ["attach", "--pid", "x"],
            ["attach", "--pid", "0"], ["attach", "--pid", "1", "--duration", "0"],
            ["attach", "--pid", "1", "--duration", "-5"], ["attach", "--pid", "1", "--frequency", "10001"],
            ["attach", "--pid", "1", "--mode", "fast"], ["attach", "--pid", "1", "--python", "maybe"],
            ["dump"], ["dump", "--pid", "x"], ["dump", "--pid", "1", "--kernel", "maybe"],
            ["dump", "--pid", "1", "--output", "x.svg"], ["dump", "--pid", "1", "--locals", "yes"],
            ["attach", "--pid", "1", "-o", "x.gif"], ["attach", "--pid", "1", "-o", "-"],
            ["attach", "--pid", "1", "-o", "a.svg", "-o", "./a.svg"], ["run"], ["run", "ls"], ["report"], ["diff", "x"],
            ["export", "x"], ["replay"], ["serve"], ["doctor", "--pid", "x"], ["report", "x", "--focus", "("],
        ]
        for arguments in wrong:
            with self.subTest(arguments=arguments):
                self.assert_fails(self.run_it(*arguments), 2)
        self.assertEqual(self.files(), [])

    def test_help_and_version_are_0_and_on_stdout(self):
        for arguments in (["--help"], ["-h"], ["attach", "--help"], ["run", "-h"], ["--version"]):
            with self.subTest(arguments=arguments):
                result = self.run_it(*arguments)
                self.assertEqual((result.returncode, result.stderr), (0, ""))
                self.assertNotEqual(result.stdout, "")
        self.assertRegex(self.run_it("--version").stdout, r"^whyslow \d+\.\d+\.\d+\n$")

    def test_help_fits_a_terminal(self):
        for command in ("attach", "run", "replay", "report", "export", "diff", "doctor"):
            for line in self.run_it(command, "--help").stdout.splitlines():
                self.assertLessEqual(len(line), 100, line)

    def test_a_full_standard_output_is_an_error(self):
        with open("/dev/full", "wb") as full:
            result = subprocess.run(self.command("--help"), stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("standard output: No space left on device", result.stderr)


class Target(CliTest):
    def test_no_such_process_is_4(self):
        child = subprocess.Popen(["true"])
        child.wait()
        self.assert_fails(self.run_it("attach", "--pid", child.pid, "-d", "1"), 4, str(child.pid))
        self.assert_fails(self.run_it("attach", "--pid", 2**31 - 1, "-d", "1"), 4)

    def test_a_zombie_is_4(self):
        child = subprocess.Popen(["true"])
        self.addCleanup(child.wait)
        wait_until(lambda: ") Z " in pathlib.Path(f"/proc/{child.pid}/stat").read_text(), "the child is a zombie")
        self.assert_fails(self.run_it("attach", "--pid", child.pid, "-d", "1"), 4, "zombie")

    def test_a_kernel_thread_is_4(self):
        stat_fields = pathlib.Path("/proc/2/stat")
        if not stat_fields.exists() or int(stat_fields.read_text().rsplit(")", 1)[1].split()[6]) & 0x200000 == 0:
            self.skipTest("process 2 is no kernel thread here")
        self.assert_fails(self.run_it("attach", "--pid", 2, "-d", "1"), 4, "kernel")

    def test_a_thread_that_the_target_does_not_have_is_4(self):
        sleeper = self.stop(subprocess.Popen(["sleep", "60"]))
        self.assert_fails(self.run_it("attach", "--pid", sleeper.pid, "--threads", 1, "-d", "1"), 4, "--threads 1")

    def test_another_users_process_is_3(self):
        if not IS_ROOT or shutil.which("setpriv") is None:
            self.skipTest("needs root and setpriv")
        sleeper = self.stop(subprocess.Popen(["sleep", "60"]))
        program = self.public_copy(PROGRAMS.whyslow)
        self.folder.chmod(0o777)
        result = subprocess.run(
            ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--bounding-set=-all",
             "--inh-caps=-all", program, "attach", "--pid", str(sleeper.pid), "-d", "1"],
            cwd=self.folder, capture_output=True, text=True, timeout=DEADLINE, check=False)
        if pathlib.Path("/proc/sys/kernel/perf_event_paranoid").read_text().strip() in ("0", "-1"):
            self.skipTest("perf_event_paranoid lets everybody sample everything")
        self.assert_fails(result, 3)
        self.assertEqual(self.files(), [])

    def test_a_command_that_is_not_there_is_4_and_one_not_executable_3(self):
        self.assert_fails(self.run_it("run", "--", "no-such-command-anywhere"), 4, "no-such-command-anywhere")
        self.assert_fails(self.run_it("run", "--", "./missing"), 4)
        (self.folder / "plain").write_text("x")
        self.assert_fails(self.run_it("run", "--", "./plain"), 3)

    def test_doctor_tells_about_a_process(self):
        sleeper = self.stop(subprocess.Popen(["sleep", "60"]))
        result = self.run_it("doctor", "--pid", sleeper.pid)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(f"process {sleeper.pid}: can be profiled", result.stdout)
        self.assert_fails(self.run_it("doctor", "--pid", 2**31 - 1), 4)

    def test_doctor_names_every_right(self):
        result = self.run_it("doctor")
        self.assertEqual(result.returncode, 0)
        for name in ("CAP_PERFMON", "CAP_BPF", "CAP_SYS_PTRACE", "CAP_IPC_LOCK", "CAP_SYSLOG", "CAP_CHECKPOINT_RESTORE",
                     "CAP_DAC_READ_SEARCH", "perf_event_paranoid", "kptr_restrict", "kernel", "BPF", "max sample rate"):
            self.assertIn(name, result.stdout)

    def test_doctor_gives_the_command_for_what_is_missing(self):
        if not IS_ROOT or shutil.which("setpriv") is None:
            self.skipTest("needs root and setpriv")
        result = self.run_it("doctor", prefix=["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-all"])
        self.assertEqual(result.returncode, 0, result.stderr)
        line = next(line for line in result.stdout.splitlines() if "CAP_SYS_PTRACE " in line)
        self.assertRegex(line, r"^MISSING .*functions have no names\. Remedy: sudo setcap .*cap_sys_ptrace.*=ep /")


class Outputs(CliTest):
    program = "scripted"

    def attach(self, *arguments, **more):
        return self.run_it("attach", "--pid", os.getpid(), "-d", "50ms", *arguments, **more)

    def test_the_default_name_has_pid_and_time(self):
        result = self.attach()
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(self.files()[0], rf"^whyslow-{os.getpid()}-\d{{8}}T\d{{6}}Z\.pb\.gz$")
        self.assertEqual(stat.S_IMODE((self.folder / self.files()[0]).stat().st_mode), 0o600)

    def test_several_outputs_and_standard_output(self):
        result = self.attach("-o", "a.pb.gz", "-o", "b.svg", "-o", "-", "--format", "folded")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout, "scripted;main;work 3\n")
        self.assertEqual(self.files(), ["a.pb.gz", "b.svg"])
        self.assertIn("wrote a.pb.gz, b.svg, standard output", result.stderr)

    def test_stderr_has_notes_and_one_summary_and_no_progress_for_a_pipe(self):
        lines = self.attach("-o", "a.pb.gz").stderr.splitlines()
        self.assertEqual(len(lines), 2)
        self.assertEqual(lines[0], "whyslow: note: this capture is scripted")
        self.assertRegex(lines[1], r"^whyslow: 3 samples .*wrote a\.pb\.gz$")

    def test_quiet_is_quiet(self):
        self.assertEqual(self.attach("--quiet", "-o", "a.pb.gz").stderr, "")

    def test_the_profile_says_how_it_was_made(self):
        self.attach("-o", "a.pb.gz")
        content = gzip.decompress((self.folder / "a.pb.gz").read_bytes())
        own_name = pathlib.Path("/proc/self/comm").read_bytes().strip()
        for text in (b"whyslow 0.", b"command: whyslow attach --pid", b"target: " + own_name + b" (process ",
                     b"frequency: 99 Hz", b"mode: wall", b"samples: 3, lost: 0, truncated: 1"):
            self.assertIn(text, content)

    def test_a_missing_folder_is_told_before_recording(self):
        start = time.monotonic()
        result = self.run_it("attach", "--pid", os.getpid(), "-d", "30", "-o", "missing/a.pb.gz")
        self.assertLess(time.monotonic() - start, 20)
        self.assert_fails(result, 1, "missing/a.pb.gz: No such file or directory. ")

    def test_a_folder_as_output_is_told_before_recording(self):
        (self.folder / "a.svg").mkdir()
        self.assert_fails(self.attach("-o", "a.svg"), 1, "a.svg: Is a directory")

    def test_an_unwritable_folder_is_told_before_recording(self):
        locked = self.folder / "locked"
        locked.mkdir(mode=0o555)
        prefix = []
        if IS_ROOT:
            if shutil.which("setpriv") is None:
                self.skipTest("root may write everywhere")
            prefix = ["setpriv", "--inh-caps=-all", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
            self.folder.chmod(0o777)
        command = [self.public_copy(PROGRAMS.scripted), "attach", "--pid", str(os.getpid()), "-d", "50ms", "-o",
                   "locked/a.svg"]
        result = subprocess.run([*prefix, *command], cwd=self.folder, timeout=DEADLINE, text=True, capture_output=True,
                                check=False)
        self.assert_fails(result, 1, "Permission denied")

    def test_a_full_disk_leaves_nothing_behind_and_the_profile_is_rescued(self):
        if not IS_ROOT or subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode != 0:
            self.skipTest("needs a mount namespace")
        (self.folder / "full").mkdir()
        (self.folder / "rescue").mkdir()
        script = ("mount -t tmpfs -o size=64k none full && head -c 64k /dev/zero > full/filler; "
                  '"$0" attach --pid $$ -d 50ms -o full/a.pb.gz; code=$?; ls -A full; exit $code')
        result = subprocess.run(["unshare", "-m", "sh", "-c", script, PROGRAMS.scripted], cwd=self.folder, text=True,
                                capture_output=True, timeout=DEADLINE, check=False,
                                env={**os.environ, "TMPDIR": str(self.folder / "rescue")})
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("full/a.pb.gz: No space left on device. Make room", result.stderr)
        self.assertEqual(result.stdout.split(), ["filler"])
        saved = list((self.folder / "rescue").iterdir())
        self.assertEqual(len(saved), 1)
        self.assertIn(f"the profile was saved as {saved[0]}", result.stderr)

    def test_a_full_device_fails_and_the_other_output_is_written(self):
        result = self.attach("-o", "/dev/full", "-o", "b.svg", "--format", "pprof")
        self.assert_fails(result, 1, "/dev/full: No space left on device")
        self.assertEqual(self.files(), ["b.svg"])

    def test_a_reader_that_left_does_not_lose_the_other_output(self):
        reading, writing = os.pipe()
        os.close(reading)
        result = subprocess.run(self.command("attach", "--pid", os.getpid(), "-d", "50ms", "-o", "-", "--format", "folded", "-o",
                                             "b.svg"), cwd=self.folder, stdout=writing, stderr=subprocess.PIPE, text=True,
                                check=False)
        os.close(writing)
        self.assertEqual(result.returncode, 1)
        self.assertIn("standard output: Broken pipe", result.stderr)
        self.assertEqual(self.files(), ["b.svg"])

    def test_a_dump_of_a_target_that_ended_is_4(self):
        pid = str(os.getpid())
        self.assert_fails(self.run_it("dump", "--pid", pid, env={"WHYSLOW_SCRIPT": "gone"}), 4, "it ended while")

    def test_a_dump_goes_to_stdout(self):
        result = self.run_it("dump", "--pid", str(os.getpid()))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout, f"process {os.getpid()}: scripted\n\n"
                         "thread 7 scripted: waiting\n    [stack not read]\n")

    def test_a_target_that_was_gone_before_the_first_sample_is_4(self):
        self.assert_fails(self.attach("-o", "a.svg", env={"WHYSLOW_SCRIPT": "gone empty"}), 4, "gone before the first sample")
        self.assertEqual(self.files(), [])

    def test_an_idle_target_gives_an_empty_profile(self):
        result = self.attach("-o", "a.pb.gz", env={"WHYSLOW_SCRIPT": "empty"})
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("used no CPU time", result.stderr)
        self.assertEqual(self.files(), ["a.pb.gz"])

    def test_the_targets_end_ends_the_profile(self):
        result = self.run_it("attach", "--pid", os.getpid(), "-d", "30", "-o", "a.svg", env={"WHYSLOW_SCRIPT": "gone"})
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_a_refused_capture_is_3(self):
        self.assert_fails(self.attach(env={"WHYSLOW_SCRIPT": "refused"}), 3, "the script forbids it")

    def test_closed_standard_descriptors_do_not_end_up_in_files(self):
        result = subprocess.run(
            ["sh", "-c", 'exec "$0" "$@" <&- 2>&-', *self.command("attach", "--pid", os.getpid(), "-d", "50ms", "-o", "a.folded")],
            cwd=self.folder, timeout=DEADLINE, check=False)
        self.assertEqual(result.returncode, 0)
        self.assertEqual((self.folder / "a.folded").read_text(), "scripted;main;work 3\n")


class Terminal(CliTest):
    """What a terminal shows; a pseudo-terminal of 60 columns stands in for one."""

    program = "scripted"

    def on_terminal(self, *arguments, env=None):
        """(exit code, everything that stdout and stderr put on the screen)"""
        keyboard, screen = pty.openpty()
        fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
        process = subprocess.Popen(self.command(*arguments), cwd=self.folder, stdout=screen, stderr=screen,
                                   env={**os.environ, "TERM": "xterm", **(env or {})})
        os.close(screen)
        shown = b""
        try:
            while chunk := os.read(keyboard, 65536):
                shown += chunk
        except OSError:  # how Linux tells that the other side is closed
            pass
        os.close(keyboard)
        return process.wait(DEADLINE), shown.decode()

    def attach(self, *arguments, **more):
        return self.on_terminal("attach", "--pid", os.getpid(), "-d", "250ms", "-o", "a.pb.gz", *arguments, **more)

    def test_progress_is_one_line_rewritten_and_taken_away(self):
        code, shown = self.attach()
        self.assertEqual(code, 0)
        self.assertGreaterEqual(shown.count("\r\x1b[Kwhyslow: 0 s of 1 s, 3 samples, 0 lost"), 2)
        self.assertRegex(shown, r"\r\x1b\[Kwhyslow: 3 samples ")

    def test_progress_can_be_left_out(self):
        self.assertNotIn("\x1b[K", self.attach("--no-progress")[1])
        self.assertEqual(self.attach("--quiet"), (0, ""))

    def test_tables_fit_and_have_colour_only_where_wanted(self):
        self.attach()
        code, shown = self.on_terminal("report", "a.pb.gz")
        self.assertEqual(code, 0)
        self.assertIn("\x1b[1m", shown)
        for line in shown.splitlines():
            self.assertLessEqual(len(re.sub(r"\x1b\[\d+m", "", line)), 60)
        self.assertNotIn("\x1b", self.on_terminal("report", "a.pb.gz", "--color", "never")[1])
        self.assertNotIn("\x1b", self.on_terminal("report", "a.pb.gz", env={"NO_COLOR": "1"})[1])
        self.assertIn("\x1b[1m", self.run_it("report", "a.pb.gz", "--color", "always").stdout)

    def test_binary_output_does_not_go_to_a_terminal(self):
        code, shown = self.on_terminal("attach", "--pid", os.getpid(), "-d", "1", "-o", "-", "--format", "pprof")
        self.assertEqual(code, 2)
        self.assertIn("this format is not for terminals", shown)


class Signals(CliTest):
    program = "scripted"

    def started(self, *arguments, env=None):
        process = self.start("attach", "--pid", os.getpid(), *arguments, env=env)
        # The first note comes when the capture runs.
        self.assertIn("note", process.stderr.readline())
        return process

    def test_a_signal_ends_the_profile_early_and_writes_it(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(number=number):
                process = self.started("-o", f"{number}.folded")
                process.send_signal(number)
                self.assertEqual(process.wait(DEADLINE), 0)
                self.assertEqual((self.folder / f"{number}.folded").read_text(), "scripted;main;work 3\n")

    def test_a_second_signal_gives_up_and_leaves_nothing(self):
        process = self.started("-o", "a.folded", env={"WHYSLOW_SCRIPT": "slow-names"})
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)  # two signals at once would be one to the kernel
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(20), 130)
        self.assertEqual(self.files(), [])

    def test_a_second_signal_ends_a_writer_that_hangs(self):
        os.mkfifo(self.folder / "pipe.folded")
        process = self.started("-o", "pipe.folded")
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(20), 130)

    def test_an_ignored_sigint_still_ends_the_profile(self):
        # As for a background job of a script.
        process = subprocess.Popen(self.command("attach", "--pid", os.getpid(), "-o", "a.folded"), cwd=self.folder,
                                   stderr=subprocess.PIPE, text=True,
                                   preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
        self.addCleanup(lambda: (process.poll() is None and process.kill(), process.communicate()))
        process.stderr.readline()
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(DEADLINE), 0)
        self.assertEqual(self.files(), ["a.folded"])


class Run(CliTest):
    program = "scripted"

    def test_the_summary_names_the_commands_status_and_the_exit_code_is_0(self):
        result = self.run_it("run", "-o", "a.folded", "--", "sh", "-c", "exit 7")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("sh exited with status 7", result.stderr)

    def test_the_status_is_propagated_when_asked_for(self):
        self.assertEqual(self.run_it("run", "--propagate-status", "--", "sh", "-c", "exit 7").returncode, 7)
        self.assertEqual(self.run_it("run", "--propagate-status", "--", "sh", "-c", "kill -9 $$").returncode, 137)
        self.assertEqual(self.run_it("run", "--propagate-status", "--", "true").returncode, 0)

    def test_the_command_has_its_own_streams_arguments_and_signals(self):
        result = self.run_it("run", "-q", "--", sys.executable, "-c",
                             "import signal, sys; print(sys.argv[1:], sys.stdin.read(), "
                             "signal.pthread_sigmask(signal.SIG_BLOCK, []), signal.getsignal(signal.SIGPIPE))",
                             "--", "a b", input="text")
        # CPython ignores SIGPIPE itself, so that only the mask tells.
        self.assertIn("['--', 'a b'] text set()", result.stdout)

    def test_a_signal_goes_on_to_the_command(self):
        process = self.start("run", "-o", "a.folded", "--", "sh", "-c", "echo up; exec sleep 60")
        self.assertEqual(process.stdout.readline(), "up\n")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(20), 0)
        self.assertIn("was ended by signal 15", process.stderr.read())

    def test_after_the_duration_the_command_goes_on(self):
        result = self.run_it("run", "-d", "100ms", "-o", "a.folded", "--", "sh", "-c", "exec sleep 3 > /dev/null 2>&1")
        self.assertEqual(result.returncode, 0, result.stderr)
        pid = int(re.search(r"sh goes on as process (\d+)", result.stderr).group(1))
        os.kill(pid, signal.SIGKILL)

    def test_nothing_is_started_when_the_output_cannot_be_written(self):
        result = self.run_it("run", "-o", "missing/a.svg", "--", "touch", "started")
        self.assert_fails(result, 1, "missing/a.svg")
        self.assertEqual(self.files(), [])


class SavedProfiles(CliTest):
    program = "scripted"

    def setUp(self):
        super().setUp()
        self.assertEqual(self.run_it("attach", "--pid", os.getpid(), "-d", "50ms", "-o", "a.pb.gz").returncode, 0)

    def test_report_shows_self_and_total(self):
        result = self.run_it("report", "a.pb.gz")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout.splitlines(), [
            "cpu: 30.00 ms in all",
            "    self    share     total    share  function",
            "30.00 ms  100.0 %  30.00 ms  100.0 %  work",
            " 0.00 ms    0.0 %  30.00 ms  100.0 %  main",
        ])

    def test_report_adds_up_files(self):
        result = self.run_it("report", "a.pb.gz", "a.pb.gz", "--json", "--value", "cpu_samples")
        rows = json.loads(result.stdout)["rows"]
        self.assertEqual([(row["name"], row["self"], row["total"]) for row in rows], [("work", 6, 6), ("main", 0, 6)])

    def test_report_by_thread(self):
        self.assertIn("scripted (7)", self.run_it("report", "a.pb.gz", "--by", "thread").stdout)
        self.assertIn("work", self.run_it("report", "a.pb.gz", "--thread", "7").stdout)
        self.assertNotIn("work", self.run_it("report", "a.pb.gz", "--thread", "other").stdout)

    def test_report_hides_and_focuses(self):
        self.assertNotIn("work", self.run_it("report", "a.pb.gz", "--hide", "^wo").stdout)
        self.assertIn("cpu: 0.00 ns in all", self.run_it("report", "a.pb.gz", "--focus", "absent").stdout)

    def test_report_by_wait_names_reason_place_and_durations(self):
        self.write_waits()
        lines = self.run_it("report", "waits.pb.gz", "--by", "wait").stdout.splitlines()
        self.assertEqual(lines[0], "wait: 2.16 s in all, 46 waits")
        self.assertRegex(lines[2], r"^1\.20 s +55\.6 % +24 +50\.00 ms +50\.00 ms +50\.00 ms  "
                                   r"socket 127\.0\.0\.1:5432 postgresql in Query \(db\.cc:21\)$")
        self.assertEqual(lines[-1], "idle waits left out: 13.00 s; --idle yes shows them")
        report = json.loads(self.run_it("report", "waits.pb.gz", "--by", "wait", "--json", "--idle", "yes").stdout)
        self.assertEqual((report["total"], report["idle_left_out"]), (15_159_000_000, 0))
        self.assertEqual([row["kind"] for row in report["rows"] if row["idle"]], ["condition", "accept"])

    def test_report_leaves_idle_waits_out_and_says_how_much(self):
        self.write_waits()
        busy = self.run_it("report", "waits.pb.gz").stdout
        self.assertTrue(busy.startswith("wall: 4.16 s in all\n"), busy)
        self.assertIn("idle waits left out: 13.00 s", busy)
        self.assertIn("wall: 17.16 s in all", self.run_it("report", "waits.pb.gz", "--idle", "yes").stdout)
        self.assertNotIn("idle", self.run_it("report", "waits.pb.gz", "--value", "cpu").stdout)

    def test_durations_are_added_up_over_files(self):
        self.write_waits()
        report = json.loads(self.run_it("report", "waits.pb.gz", "waits.pb.gz", "--by", "wait", "--json").stdout)
        socket = report["rows"][0]
        self.assertEqual((socket["count"], socket["timed"], socket["p50_ns"]), (48, 48, 50_000_000))

    def test_report_by_wait_of_a_profile_without_waits_is_1(self):
        self.assert_fails(self.run_it("report", "a.pb.gz", "--by", "wait"), 1, "no waiting time")

    def test_export_with_and_without_idle_waits(self):
        self.write_waits()
        self.run_it("export", "waits.pb.gz", "-o", "all.folded", "summary.json")
        self.run_it("export", "waits.pb.gz", "-o", "busy.folded", "busy.pb.gz", "--idle", "no")
        self.assertIn("[wait: accept 0.0.0.0:8080]", (self.folder / "all.folded").read_text())
        self.assertNotIn("[wait: accept", (self.folder / "busy.folded").read_text())
        self.assertEqual(json.loads((self.folder / "summary.json").read_text())["times"]["idle_ns"], 13_000_000_000)
        report = json.loads(self.run_it("report", "busy.pb.gz", "--by", "wait", "--json").stdout)
        self.assertEqual((report["timed"], report["idle_left_out"]), (43, 0))

    def write_waits(self):
        result = self.run_it("attach", "--pid", os.getpid(), "-d", "50ms", "-o", "waits.pb.gz",
                             env={"WHYSLOW_SCRIPT": "waits"})
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_export_converts(self):
        result = self.run_it("export", "a.pb.gz", "--output", "b.folded", "c.svg", "--root", "none")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual((self.folder / "b.folded").read_text(), "main;work 3\n")
        self.assertEqual(self.files(), ["a.pb.gz", "b.folded", "c.svg"])

    def test_export_to_a_full_device_is_1(self):
        self.assert_fails(self.run_it("export", "a.pb.gz", "-o", "/dev/full", "--format", "folded"), 1, "/dev/full: No space")

    def test_export_never_loses_its_input(self):
        before = (self.folder / "a.pb.gz").read_bytes()
        self.run_it("export", "-o", "b.svg", "a.pb.gz")
        self.assertEqual((self.folder / "a.pb.gz").read_bytes(), before)

    def test_diff_of_a_profile_with_itself_is_zero(self):
        result = self.run_it("diff", "a.pb.gz", "a.pb.gz", "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        difference = json.loads(result.stdout)
        self.assertTrue(difference["per_second"])
        self.assertEqual([row["self"]["delta"] for row in difference["rows"]], [0, 0])

    def test_files_that_are_missing_or_no_profiles_are_1(self):
        (self.folder / "text.pb.gz").write_text("this is no profile")
        (self.folder / "cut.pb.gz").write_bytes((self.folder / "a.pb.gz").read_bytes()[:60])
        for command in (["report", "missing.pb.gz"], ["report", "text.pb.gz"], ["report", "cut.pb.gz"],
                        ["diff", "a.pb.gz", "missing.pb.gz"], ["export", "missing.pb.gz", "-o", "x.svg"]):
            with self.subTest(command=command):
                self.assert_fails(self.run_it(*command), 1, command[1] if command[0] != "diff" else "missing.pb.gz")

    def test_reading_a_part_of_a_report_is_no_complaint(self):
        result = subprocess.run(["sh", "-c", '"$0" report a.pb.gz | head -n 1', PROGRAMS.scripted], cwd=self.folder, text=True,
                                capture_output=True, timeout=DEADLINE, check=False)
        self.assertEqual((result.stdout, result.stderr), ("cpu: 30.00 ms in all\n", ""))


class Captures(CliTest):
    """The whole program on real processes."""

    def test_attach_samples_a_busy_process(self):
        target = self.stop(burner())
        result = self.run_it("attach", "--pid", target.pid, "-d", "1", "-F", "199", "--mode", "cpu", "-o", "a.pb.gz",
                             "-o", "a.folded")
        self.need_sampling(result)
        self.assertEqual(result.returncode, 0, result.stderr)
        report = json.loads(self.run_it("report", "a.pb.gz", "--json", "--value", "cpu_samples").stdout)
        self.assertGreater(report["total"], 10)
        folded = sum(int(line.rsplit(" ", 1)[1]) for line in (self.folder / "a.folded").read_text().splitlines())
        self.assertEqual(folded, report["total"])

    def test_run_profiles_to_the_commands_end(self):
        result = self.run_it("run", "-o", "a.pb.gz", "--", sys.executable, "-c", BURN.format(seconds=0.7))
        self.need_sampling(result)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("exited with status 0", result.stderr)
        report = json.loads(self.run_it("report", "a.pb.gz", "--json", "--value", "cpu_samples").stdout)
        self.assertGreater(report["total"], 10)

    def test_attach_ends_with_its_target(self):
        target = self.stop(burner(1.0))
        start = time.monotonic()
        result = self.run_it("attach", "--pid", target.pid, "-d", "50", "-o", "a.pb.gz")
        self.need_sampling(result)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertLess(time.monotonic() - start, 40)

    def test_ctrl_c_writes_the_profile_in_full(self):
        target = self.stop(burner())
        process = self.start("attach", "--pid", str(target.pid), "-o", "a.pb.gz")
        process.stderr.readline()
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        code = process.wait(DEADLINE)
        if code == 3:
            self.skipTest("whyslow may not sample here")
        self.assertEqual(code, 0)
        self.assertEqual(self.run_it("report", "a.pb.gz").returncode, 0)

    def test_recorded_events_replay_to_the_same_profile(self):
        target = self.stop(burner())
        result = self.run_it("attach", "--pid", target.pid, "-d", "1", "-o", "a.folded", "--record", "raw")
        self.need_sampling(result)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(self.run_it("replay", "raw", "-o", "b.folded").returncode, 0)
        self.assertEqual((self.folder / "a.folded").read_text(), (self.folder / "b.folded").read_text())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--whyslow", required=True)
    parser.add_argument("--scripted", required=True)
    _, rest = parser.parse_known_args(namespace=PROGRAMS)
    PROGRAMS.whyslow = os.path.abspath(PROGRAMS.whyslow)
    PROGRAMS.scripted = os.path.abspath(PROGRAMS.scripted)
    unittest.main(argv=[sys.argv[0], *rest])


if __name__ == "__main__":
    main()
