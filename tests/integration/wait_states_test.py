#!/usr/bin/env python3
"""Threads that could not run because of what was done to them: stopped, frozen, traced, throttled, out of reach."""

import contextlib
import ctypes
import os
import pathlib
import signal
import time

import wait_rows
import whyslow_testing as t
from wait_rows import Recorder, WaitCase

HELD_SECONDS = 1.0
WALL_OPTION = 0x40000000  # __WALL: also threads that are no children


def state_of(pid, tid):
    return pathlib.Path(f"/proc/{pid}/task/{tid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]


class Tracer:
    """A debugger that stops threads and lets them go on. It is in the calling thread."""

    SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17

    def __init__(self):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
        self.libc.ptrace.restype = ctypes.c_long

    def call(self, request, tid):
        if self.libc.ptrace(request, tid, None, None) != 0:
            raise OSError(ctypes.get_errno(), f"ptrace {request:#x} {tid}: {os.strerror(ctypes.get_errno())}")

    def stop(self, tid):
        self.call(self.SEIZE, tid)
        self.call(self.INTERRUPT, tid)
        os.waitpid(tid, WALL_OPTION)

    def let_go(self, tid):
        self.call(self.DETACH, tid)


class Cgroup:
    """A control group of one hierarchy, gone with the `with` block; its processes go back where they were."""

    def __init__(self, kind, controller=None):
        self.top = self.hierarchy(kind, controller)
        self.path = self.top / f"whyslow-test-{os.getpid()}"

    @staticmethod
    def hierarchy(kind, controller):
        for line in pathlib.Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
            _, place, found, options = line.split()[:4]
            if found == kind and (controller is None or controller in options.split(",")):
                return pathlib.Path(place)
        raise FileNotFoundError(f"no {kind} with {controller or 'anything'} is mounted")

    def __enter__(self):
        self.path.mkdir()
        return self

    def __exit__(self, *_):
        for pid in self.read("cgroup.procs").split():
            with contextlib.suppress(OSError):
                (self.top / "cgroup.procs").write_text(pid, encoding="utf-8")
        with contextlib.suppress(OSError):
            self.path.rmdir()

    def read(self, name):
        return (self.path / name).read_text(encoding="utf-8")

    def write(self, name, value):
        (self.path / name).write_text(str(value), encoding="utf-8")

    def figure(self, name, key):
        return next(int(line.split()[1]) for line in self.read(name).splitlines() if line.split()[0] == key)


class Held(WaitCase):
    def start(self):
        target = t.start_target("held", 30)
        self.addCleanup(target.__exit__)
        words = target.wait_for_line("THREADS")[1:]
        target.tids = {name: int(tid) for name, _, tid in (word.partition("=") for word in words)}
        return target

    def wait_for_state(self, target, names, letter):
        t.wait_until(lambda: all(state_of(target.pid, target.tids[name]) == letter for name in names),
                     what=f"{names} in state {letter}")

    # The truth of a state is read from outside: it lasts at least from `sure` to `sure_until`, at most from
    # `earliest` to `latest`. Without a letter for the state, `begin` and `end` themselves wait for it.
    def hold(self, target, names, begin, end, letter=None):
        recorder = Recorder(self, target.pid)
        earliest = time.monotonic_ns()
        begin()
        if letter:
            self.wait_for_state(target, names, letter)
        sure = time.monotonic_ns()
        time.sleep(HELD_SECONDS)
        sure_until = time.monotonic_ns()
        end()
        if letter:
            t.wait_until(lambda: not any(state_of(target.pid, target.tids[name]) == letter for name in names),
                         what=f"{names} to go on")
        latest = time.monotonic_ns()
        time.sleep(0.5)
        return self.read(recorder.finish()), sure_until - sure, latest - earliest

    def check(self, profile, target, names, kind, least, most):
        for name in names:
            rows = profile.rows.of_thread(target.tids[name])
            held = rows.of_kind(kind)
            with self.subTest(f"{kind}: {name}"):
                self.assertGreaterEqual(held.wait, least, rows.text())
                # The kernel's own times around the moments that were seen from outside.
                self.assertLessEqual(held.wait, most * 1.01 + 5_000_000, rows.text())
                self.assertGreaterEqual(held.count, 1, rows.text())
                self.check_whole(profile, rows)

    def check_whole(self, profile, rows):
        self.assertAlmostEqual(rows.cpu + rows.wait, profile.duration, delta=0.01 * profile.duration,
                               msg=rows.text())

    def check_not_held(self, profile, target, names, kind):
        for name in names:
            rows = profile.rows.of_thread(target.tids[name]).of_kind(kind)
            self.assertEqual(rows.wait, 0, rows.text())


class Stopped(Held):
    def test_by_a_signal(self):
        target = self.start()
        names = ("works", "sleeps", "blocked")
        profile, least, most = self.hold(target, names, lambda: os.kill(target.pid, signal.SIGSTOP),
                                         lambda: os.kill(target.pid, signal.SIGCONT), "T")
        self.check(profile, target, names, "stopped", least, most)
        with self.subTest("stacks"):
            for name, function in (("works", "work_on_and_on"), ("sleeps", "sleep_on_and_on"),
                                   ("blocked", "blocked_all_the_time")):
                rows = profile.rows.of_thread(target.tids[name]).of_kind("stopped")
                self.assertEqual(rows.where(lambda row, function=function: not row.has(function)), [], rows.text())

    def test_before_the_attach_and_to_the_end(self):
        target = self.start()
        names = ("works", "sleeps", "blocked")
        os.kill(target.pid, signal.SIGSTOP)
        self.addCleanup(os.kill, target.pid, signal.SIGCONT)
        self.wait_for_state(target, names, "T")
        recorder = Recorder(self, target.pid)
        time.sleep(0.5)
        profile = self.read(recorder.finish())
        for name in names:
            rows = profile.rows.of_thread(target.tids[name])
            with self.subTest(name):
                self.assertEqual(rows.kinds().keys(), {"stopped"}, rows.text())
                self.check_whole(profile, rows)


class Traced(Held):
    def test_by_a_debugger(self):
        target, tracer = self.start(), Tracer()
        names = ("works", "sleeps")

        def stop():
            for name in names:
                tracer.stop(target.tids[name])

        def let_go():
            for name in names:
                tracer.let_go(target.tids[name])

        profile, least, most = self.hold(target, names, stop, let_go, "t")
        self.check(profile, target, names, "traced", least, most)
        self.check_not_held(profile, target, ("blocked",), "traced")


class Frozen(Held):
    NAMES = ("works", "sleeps", "blocked")

    def group(self, *how):
        try:
            group = Cgroup(*how)
            group.__enter__()
        except OSError as error:
            self.skipTest(f"no control group can be made: {error}")
        self.addCleanup(group.__exit__)
        return group

    def test_in_a_control_group(self):
        target = self.start()
        group = self.group("cgroup2")
        group.write("cgroup.procs", target.pid)

        def freeze():
            group.write("cgroup.freeze", 1)
            t.wait_until(lambda: group.figure("cgroup.events", "frozen") == 1, what="the group to freeze")

        profile, least, most = self.hold(target, self.NAMES, freeze, lambda: self.thaw(group))
        self.check(profile, target, self.NAMES, "frozen", least, most)

    @staticmethod
    def thaw(group):
        group.write("cgroup.freeze", 0)
        t.wait_until(lambda: group.figure("cgroup.events", "frozen") == 0, what="the group to thaw")

    def test_in_a_control_group_of_the_first_version(self):
        target = self.start()
        group = self.group("cgroup", "freezer")
        group.write("cgroup.procs", target.pid)

        def freeze():
            group.write("freezer.state", "FROZEN")
            t.wait_until(lambda: group.read("freezer.state").strip() == "FROZEN", what="the group to freeze")

        profile, least, most = self.hold(target, self.NAMES, freeze,
                                         lambda: group.write("freezer.state", "THAWED"))
        # Who sleeps already is frozen without being woken: no switch tells.
        self.check(profile, target, ("works",), "frozen", least, most + 50_000_000)


class OutOfReach(Held):
    def test_a_parent_whose_memory_a_child_has(self):
        target = self.start()
        tid = target.tids["lends"]
        t.wait_until(lambda: state_of(target.pid, tid) == "D", what="a thread in state D")
        recorder = Recorder(self, target.pid)
        time.sleep(2)
        profile = self.read(recorder.finish())
        rows = profile.rows.of_thread(tid)
        lent = rows.where(lambda row: row.kind == "uninterruptible" or row.labels.get("state") == "uninterruptible")
        self.assertGreater(lent.wait, 0.9 * profile.duration, rows.text())
        self.assertEqual(lent.where(lambda row: not row.has("wait_for_borrower")), [], lent.text())
        # 0.2 seconds each.
        self.assertLessEqual(lent.count, profile.duration / 200_000_000 + 2, rows.text())
        self.assertGreaterEqual(lent.count, 2, rows.text())
        self.check_whole(profile, rows)


class Throttled(Held):
    """A fifth of a CPU for a process that wants one."""

    def limited(self):
        try:
            group = Cgroup("cgroup", "cpu")
            quota = {"cpu.cfs_period_us": 100_000, "cpu.cfs_quota_us": 20_000}
        except FileNotFoundError:
            group = Cgroup("cgroup2")
            quota = {"cpu.max": "20000 100000"}
        try:
            group.__enter__()
            self.addCleanup(group.__exit__)
            for name, value in quota.items():
                group.write(name, value)
        except OSError as error:
            self.skipTest(f"no control group with a CPU quota can be made: {error}")
        return group

    @staticmethod
    def throttled_nanos(group):
        text = group.read("cpu.stat")
        if "throttled_usec" in text:
            return group.figure("cpu.stat", "throttled_usec") * 1_000
        return group.figure("cpu.stat", "throttled_time")

    def test_by_a_quota_of_cpu_time(self):
        group = self.limited()
        with t.start_target("split_50_30_20", 30) as target:
            group.write("cgroup.procs", target.pid)
            recorder = Recorder(self, target.pid)
            before = self.throttled_nanos(group)
            time.sleep(3)
            least = self.throttled_nanos(group) - before
            profile = self.read(recorder.finish())
        rows = profile.rows.of_thread(target.pid)
        throttled = rows.of_kind("throttled")
        self.assertGreater(least, 200_000_000)
        # The group's own figure knows whole periods only: one more or less.
        self.assertGreaterEqual(throttled.wait, least - 100_000_000, rows.text())
        others = rows.waiting().where(lambda row: row.kind != "throttled")
        lack = profile.duration - rows.cpu
        self.assertAlmostEqual(throttled.wait, lack - others.wait, delta=0.01 * profile.duration, msg=rows.text())
        self.assertGreater(throttled.wait, others.of_kind(*wait_rows.RUNNABLE).wait, rows.text())
        # Once in a period at most, ten of which are in a second.
        self.assertLessEqual(throttled.count, profile.duration / 100_000_000 + 2, rows.text())
        self.assertGreaterEqual(throttled.count, throttled.wait / 100_000_000, rows.text())
        self.check_whole(profile, rows)


if __name__ == "__main__":
    t.main()
