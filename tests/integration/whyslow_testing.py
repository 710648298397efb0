"""What the integration tests share: starting targets, running whyslow on them, reading its folded stacks.

The environment says where things are: WHYSLOW (the program) and WHYSLOW_BUILD (the build folder).
"""

import ctypes
import os
import pathlib
import platform
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("WHYSLOW_BUILD", ROOT / "build" / "dev")).resolve()
WHYSLOW = pathlib.Path(os.environ.get("WHYSLOW", BUILD / "cli" / "whyslow")).resolve()
TARGETS = BUILD / "targets"
EXAMPLES = BUILD / "examples"

SKIPPED = 77  # ctest's SKIP_RETURN_CODE
UNPRIVILEGED = 65534  # nobody, nogroup


# ---------------------------------------------------------------------------------------------
# What this machine permits.

def perf_event_open_error(exclude_kernel=True):
    """The error name with which the kernel refuses this process a CPU clock of its own, or None."""
    number = {"x86_64": 298, "aarch64": 241}.get(platform.machine())
    if number is None:
        return "unknown machine"
    flags = (1 << 5 | 1 << 6) if exclude_kernel else 0  # exclude_kernel, exclude_hv
    # type, size, config, sample_period, sample_type, read_format, flags; the rest is zero
    attribute = struct.pack("<IIQQQQQ", 1, 112, 0, 1_000_000, 1, 0, flags).ljust(112, b"\0")
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.syscall(number, attribute, 0, -1, -1, 8)
    if descriptor < 0:
        return os.strerror(ctypes.get_errno())
    os.close(descriptor)
    return None


def refusal():
    """Why no test of this folder can run here, or None."""
    if not WHYSLOW.exists():
        return f"{WHYSLOW} is not built"
    error = perf_event_open_error()
    if error:
        return f"sampling is not permitted here: perf_event_open: {error}"
    if not help_of("attach"):
        return "this build has no attach command"
    return None


def may_sample_all_cpus():
    return os.geteuid() == 0 and perf_event_open_error(exclude_kernel=False) is None


_help = {}


def help_of(command):
    if command not in _help:
        ended = subprocess.run([WHYSLOW, command, "--help"], capture_output=True, text=True, timeout=60)
        _help[command] = ended.stdout if ended.returncode == 0 and command in ended.stdout else ""
    return _help[command]


def variants():
    """The ways to sample that this machine and build have: (name, user, extra options)."""
    found = []
    if os.geteuid() == 0:
        if "--bpf" in help_of("attach"):
            found += [("root, with BPF", None, ["--bpf", "auto"]), ("root, no BPF", None, ["--bpf", "no"])]
        else:
            found += [("root", None, [])]
        found += [("ordinary user", UNPRIVILEGED, [])]
    else:
        found += [("this user", None, [])]
    return found


def main():
    reason = refusal()
    if reason:
        print(f"SKIPPED: {reason}")
        sys.exit(SKIPPED)
    unittest.main(verbosity=2)


# ---------------------------------------------------------------------------------------------
# Processes.

def as_user(user, command):
    """`user` is None (who we are), a number, or the words of a command that gives up rights and runs another."""
    if user is None:
        return list(command)
    if isinstance(user, list):
        return [*user, *command]
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *command]


class Child:
    """A process that is ended with the `with` block, by its pid, whatever happens in it."""

    def __init__(self, command, user=None, cwd=None, env=None, stderr=None, stdin=subprocess.DEVNULL):
        self.process = subprocess.Popen(as_user(user, command), stdout=subprocess.PIPE, stderr=stderr,
                                        cwd=cwd, env=env, stdin=stdin)
        self.pid = self.process.pid
        self.lines = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.stdout.closed:
            return
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        if self.process.stdin:
            self.process.stdin.close()

    def wait_for_line(self, start):
        """Reads on until a line that begins so; returns its words."""
        for raw in self.process.stdout:
            line = raw.decode(errors="replace").rstrip("\n")
            self.lines.append(line)
            if line.startswith(start):
                return line.split()
        raise AssertionError(f"{self.process.args} ended before it said {start}: {self.lines}")

    def wait_for_line_containing(self, part):
        for raw in self.process.stdout:
            self.lines.append(raw.decode(errors="replace").rstrip("\n"))
            if part in self.lines[-1]:
                return
        raise AssertionError(f"{self.process.args} ended before it said {part}: {self.lines}")

    def rest_of_output(self):
        self.lines += self.process.stdout.read().decode(errors="replace").splitlines()
        return self.lines


def start_target(name, *arguments, user=None):
    """One of tests/targets, ready: its pid is `pid`."""
    child = Child([TARGETS / name, *map(str, arguments)], user=user)
    try:
        child.pid = int(child.wait_for_line("READY")[1])
    except BaseException:
        child.__exit__()
        raise
    return child


def cpu_seconds(pid):
    """What all threads of a process have used, the ended ones included (in clock ticks)."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def accepts(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(condition, seconds=20, what="it"):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds} s for {what}")


# ---------------------------------------------------------------------------------------------
# whyslow.

class Outcome:
    def __init__(self, code, stdout, stderr, seconds, folder):
        self.code, self.stdout, self.stderr, self.seconds = code, stdout, stderr, seconds
        self.pprof, self.folded_file, self.svg = (folder / f"p{end}" for end in (".pb.gz", ".folded", ".svg"))

    def files(self):
        return [path for path in (self.pprof, self.folded_file, self.svg) if path.exists()]

    def folded(self):
        return Folded(self.folded_file.read_bytes())


class Case(unittest.TestCase):
    """A test with a folder of its own that the unprivileged user may write to."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="whyslow-test-"))
        self.folder.chmod(0o777)
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.runs = 0

    def new_folder(self):
        self.runs += 1
        folder = self.folder / f"run{self.runs}"
        folder.mkdir()
        folder.chmod(0o777)
        return folder

    def command(self, pid, folder, *options, mode="cpu", outputs=(".pb.gz", ".folded", ".svg")):
        command = [str(WHYSLOW), "attach", "--pid", str(pid), *map(str, options)]
        if mode and "--mode" in help_of("attach"):
            command += ["--mode", mode]
        for end in outputs:
            command += ["--output", str(folder / f"p{end}")]
        return command

    def attach(self, pid, *options, user=None, timeout=120, **how):
        """Runs `whyslow attach` to its end."""
        folder = self.new_folder()
        begin = time.monotonic()
        ended = subprocess.run(as_user(user, self.command(pid, folder, *options, **how)), timeout=timeout,
                               capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)
        return Outcome(ended.returncode, ended.stdout, ended.stderr, time.monotonic() - begin, folder)

    def attach_and_interrupt(self, pid, after, signals, *options, user=None, timeout=60, gap=0.0, **how):
        """Runs `whyslow attach` without an end and sends it signals after so many seconds."""
        folder = self.new_folder()
        begin = time.monotonic()
        process = subprocess.Popen(as_user(user, self.command(pid, folder, *options, **how)), text=True,
                                   errors="replace", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            time.sleep(after)
            for number in signals:
                process.send_signal(number)
                time.sleep(gap)
            stdout, stderr = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            process.wait()
            raise
        return Outcome(process.returncode, stdout, stderr, time.monotonic() - begin, folder)

    def assert_profile(self, outcome):
        """It ended well and wrote all that was asked for."""
        self.assertEqual(outcome.code, 0, outcome.stderr)
        self.assertEqual(len(outcome.files()), 3, outcome.stderr)
        return outcome.folded()


class Folded:
    """Folded stacks: root first. Waiting stacks, if there are any, are kept apart."""

    LINE = re.compile(rb"^(.+) (\d+)$")

    def __init__(self, content):
        self.stacks = []
        self.waits = []
        for number, line in enumerate(content.split(b"\n")[:-1], 1):
            match = self.LINE.match(line)
            if not match:
                raise AssertionError(f"folded line {number} is malformed: {line!r}")
            frames = match[1].decode("utf-8").split(";")  # strict: text that is no UTF-8 is an error
            kind = self.waits if frames[-1].startswith("[wait:") else self.stacks
            kind.append((frames, int(match[2])))
        if content and not content.endswith(b"\n"):
            raise AssertionError("the last folded line is not ended")

    @property
    def total(self):
        return sum(value for _, value in self.stacks)

    def weight(self, wanted):
        """Of the stacks for which `wanted(frames)` holds."""
        return sum(value for frames, value in self.stacks if wanted(frames))

    def share(self, *names):
        """Of the stacks with at least one frame that has one of these names."""
        if not self.total:
            return 0.0
        return self.weight(lambda frames: any(plain(frame) in names for frame in frames)) / self.total

    def truncated_share(self):
        cut = self.weight(lambda frames: any(frame.startswith("[truncated:") for frame in frames))
        return cut / self.total if self.total else 0.0

    def self_weights(self):
        sums = {}
        for frames, value in self.stacks:
            sums[frames[-1]] = sums.get(frames[-1], 0) + value
        return sums

    def summary(self, count=12):
        """For messages of failed tests."""
        top = sorted(self.stacks, key=lambda row: -row[1])[:count]
        return "\n".join([f"total {self.total}"] + [f"{value:8} {';'.join(frames)}" for frames, value in top])


def plain(frame):
    """The function's own name: without parameters, namespaces, template arguments."""
    name = re.sub(r"\(anonymous namespace\)::|\[abi:\w+\]", "", frame.removesuffix("_[k]"))
    return name.partition("(")[0].rpartition("::")[2]
