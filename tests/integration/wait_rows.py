"""The rows of a profile with waits, and whyslow run beside a target that says when it is measured."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time

import whyslow_testing as t
from pprof_file import PprofFile

# Not of the program's own making.
RUNNABLE = ("runqueue", "preempted", "throttled", "stolen")
# A thread that leaves its CPU for these could have gone on; the kernel counts that apart.
INVOLUNTARY = ("runqueue", "preempted", "throttled")


class Row:
    """A sample of a profile: frames root first, without the leaf that names the wait."""

    def __init__(self, pprof, sample):
        labels = pprof.labels(sample)
        self.labels = labels
        self.tid, self.pid = labels.get("tid"), labels.get("pid")
        self.thread = labels.get("thread", "")
        self.kind = labels.get("wait", "")
        value = dict(zip((name.split("/")[0] for name in pprof.types), sample.value))
        self.cpu, self.count, self.wait = value["cpu"], value["waits"], value["wait"]
        self.wall = value["wall"]
        self.leaf = ""
        self.frames = []
        for identifier in reversed(sample.location_id):
            location = pprof.locations[identifier]
            names = [pprof.strings[pprof.functions[line.function_id].name] for line in reversed(location.line)]
            self.frames += names or [f"[{pathlib.Path(pprof.module_of(location)).name}]"]
        if self.kind and self.frames:
            self.leaf = self.frames.pop()

    @property
    def names(self):
        return [t.plain(frame) for frame in self.frames]

    def has(self, function):
        return function in self.names

    def text(self):
        labels = {key: value for key, value in self.labels.items() if key not in ("tid", "pid", "thread", "wait")}
        return (f"{self.thread} {self.tid}: {self.kind or 'cpu'} x{self.count} wait {self.wait / 1e6:.3f} ms, "
                f"cpu {self.cpu / 1e6:.3f} ms {labels} {';'.join(self.frames)};{self.leaf}")


class Rows(list):
    def where(self, wanted):
        return Rows(row for row in self if wanted(row))

    def of_thread(self, tid):
        return self.where(lambda row: row.tid == tid)

    def with_frame(self, function):
        return self.where(lambda row: row.has(function))

    def of_kind(self, *kinds):
        return self.where(lambda row: row.kind in kinds)

    def waiting(self):
        return self.where(lambda row: row.kind)

    def voluntary(self):
        return self.where(lambda row: row.kind and row.kind not in INVOLUNTARY)

    @property
    def count(self):
        return sum(row.count for row in self)

    @property
    def wait(self):
        return sum(row.wait for row in self)

    @property
    def cpu(self):
        return sum(row.cpu for row in self)

    def kinds(self):
        found = {}
        for row in self.waiting():
            count, wait = found.get(row.kind, (0, 0))
            found[row.kind] = (count + row.count, wait + row.wait)
        return found

    def text(self, most=12):
        rows = sorted(self, key=lambda row: -(row.wait + row.cpu))
        return "\n".join(["", *(row.text() for row in rows[:most])] + ([f"and {len(rows) - most}"]
                                                                        if len(rows) > most else []))


def rows_of(path):
    pprof = PprofFile(path)
    return Rows(Row(pprof, sample) for sample in pprof.samples)


class WaitProfile:
    def __init__(self, outcome):
        self.outcome = outcome
        self.pprof = PprofFile(outcome.pprof)
        self.rows = Rows(Row(self.pprof, sample) for sample in self.pprof.samples)
        self.duration = self.pprof.raw.duration_nanos
        # CLOCK_MONOTONIC, as the targets' own clock.
        self.begin = self.pprof.raw.time_nanos - (time.time_ns() - time.monotonic_ns())
        self.end = self.begin + self.duration


class WaitCase(t.Case):
    """A test that needs waits in profiles that USER makes with OPTIONS."""

    OPTIONS = ("--bpf", "auto")
    USER = None

    def setUp(self):
        super().setUp()
        reason = why_not_measured(self.OPTIONS, self.USER)
        if reason:
            self.skipTest(reason)

    def read(self, outcome):
        self.assert_profile(outcome)
        profile = WaitProfile(outcome)
        self.assertEqual(profile.pprof.problems(), [])
        return profile


class Recorder:
    """whyslow attached to a process from `start` to `finish`."""

    def __init__(self, case, pid, *options, mode="wall"):
        self.folder = case.new_folder()
        command = case.command(pid, self.folder, *case.OPTIONS, *options, mode=mode)
        self.begun = time.monotonic()
        self.process = subprocess.Popen(t.as_user(case.USER, command), text=True, errors="replace",
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        case.addCleanup(self.abandon)
        self.wait_until_attached()

    def abandon(self):
        if not self.has_ended():
            self.process.kill()
            self.process.communicate()

    # It has its events, and has come to rest after all that it reads and loads before it measures. Whether that
    # was so the profile says itself: its window is part of it.
    def wait_until_attached(self):
        t.wait_until(lambda: self.has_events() or self.has_ended(), what="whyslow to attach")
        used = -1.0
        while not self.has_ended() and t.cpu_seconds(self.process.pid) - used > 0.03:
            used = t.cpu_seconds(self.process.pid)
            time.sleep(0.5)

    def has_ended(self):
        return self.process.poll() is not None

    def has_events(self):
        for entry in pathlib.Path(f"/proc/{self.process.pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if "perf_event" in os.readlink(entry):
                    return True
        return False

    def finish(self):
        time.sleep(0.2)
        if not self.has_ended():
            self.process.send_signal(signal.SIGINT)
        stdout, stderr = self.process.communicate(timeout=120)
        return t.Outcome(self.process.returncode, stdout, stderr, time.monotonic() - self.begun, self.folder)


class Directed(t.Child):
    """One of the programs of measured_waits.h: plays when told to, tells its truth, ends when told to."""

    def __init__(self, name, *arguments, user=None):
        super().__init__([t.TARGETS / name, *map(str, arguments)], user=user, stdin=subprocess.PIPE)
        self.pid = int(self.wait_for_line("READY")[1])

    def tell(self, word):
        self.process.stdin.write(word.encode() + b"\n")
        self.process.stdin.flush()

    def play(self):
        """From the first line to the end of the play; returns what the program measured."""
        self.tell("go")
        self.wait_for_line("TRUTH")
        return json.loads(self.lines[-1].removeprefix("TRUTH "))


_measured = {}


def why_not_measured(options, user=None):
    """Why waits are not in profiles made so, or None: asked of whyslow itself."""
    key = (tuple(options), str(user))
    if key not in _measured:
        _measured[key] = _ask(options, user)
    return _measured[key]


def _ask(options, user):
    with tempfile.TemporaryDirectory() as folder, t.start_target("sleeper", 20, user=user) as target:
        os.chmod(folder, 0o777)
        command = [t.WHYSLOW, "attach", "--pid", str(target.pid), "--duration", "500ms", *options, "--mode", "wall",
                   "--output", os.path.join(folder, "p.pb.gz")]
        ended = subprocess.run(t.as_user(user, command), capture_output=True, text=True, timeout=60)
        if "waits are not in this version" in ended.stderr:
            return "this build has no --mode wall: " + ended.stderr.strip()
        if ended.returncode != 0:
            return None  # a failure that tests shall show
        notes = [line for line in ended.stderr.splitlines() if "waits are not measured" in line
                 or "waits not measured" in line]
        return notes[0] if notes else None
