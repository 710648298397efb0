#!/usr/bin/env python3
"""Waits without BPF beside waits with it: both profile the same threads at the same time and have to agree."""

import collections
import os
import subprocess
import time

import whyslow_testing as t
from pprof_file import PprofFile

SECONDS = 4
# Where each thread waits most.
TOP = {"two_callers": "long_sleep", "pipe_reader": "read_from_pipe", "receiver": "receive_from_socket",
       "locked": "wait_for_lock", "half_busy": "shared_sleep"}
KINDS = {"two_callers": "sleep", "pipe_reader": "pipe", "receiver": "socket", "locked": "mutex",
         "half_busy": "sleep"}
# The thread could have gone on.
RUNNABLE = ("runqueue", "preempted", "throttled", "stolen")
PREEMPTED = ("preempted", "throttled", "stolen")


class ThreadWaits:
    def __init__(self):
        self.cpu = self.wait = self.count = 0
        self.by_function = collections.Counter()
        self.by_kind = collections.Counter()


class Waits:
    """The waits of a profile by thread name."""

    def __init__(self, path):
        pprof = PprofFile(path)
        self.seconds = pprof.raw.duration_nanos / 1e9
        self.threads = collections.defaultdict(ThreadWaits)
        self.problems = pprof.problems()
        columns = [pprof.index_of(name) for name in ("cpu", "waits", "wait")]
        for sample in pprof.samples:
            labels = pprof.labels(sample)
            thread = self.threads[labels.get("thread")]
            cpu, count, wait = (sample.value[column] for column in columns)
            thread.cpu += cpu / 1e9
            thread.wait += wait / 1e9
            kind = labels.get("wait")
            if kind:
                thread.by_kind[kind] += wait / 1e9
            if kind and kind not in RUNNABLE:
                thread.count += count
            # Without BPF the way from the run queue is a part of the wait, so it has to be here too.
            if kind and kind not in PREEMPTED:
                for name in self.functions(pprof, sample):
                    thread.by_function[name] += wait / 1e9

    @staticmethod
    def functions(pprof, sample):
        return {t.plain(pprof.strings[pprof.functions[line.function_id].name])
                for identifier in sample.location_id for line in pprof.locations[identifier].line}

    def text(self):
        return "\n".join([f"{self.seconds:.3f} s"] + [
            f"{name}: cpu {thread.cpu:.4f} wait {thread.wait:.4f} x{thread.count} {dict(thread.by_kind)} "
            f"{thread.by_function.most_common(12)}" for name, thread in self.threads.items()])


class BothWays(t.Case):
    def profile(self, target, *ways):
        """One profile for each (user, options), all of them at the same time."""
        running = []
        for user, options in ways:
            folder = self.new_folder()
            command = self.command(target.pid, folder, "--duration", f"{SECONDS}s", *options, mode="wall",
                                   outputs=(".pb.gz",))
            process = subprocess.Popen(t.as_user(user, command), text=True, errors="replace",
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.addCleanup(self.end, process)
            running.append((process, folder / "p.pb.gz"))
        found = []
        for process, path in running:
            _, stderr = process.communicate(timeout=120)
            self.assertEqual(process.returncode, 0, stderr)
            found.append((Waits(path), stderr))
        return found

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.kill()
            process.communicate()

    def check_wall(self, waits):
        for name, thread in waits.threads.items():
            self.assertAlmostEqual(thread.cpu + thread.wait, waits.seconds, delta=0.01 * waits.seconds,
                                   msg=f"{name}: on + off is not the wall time\n{waits.text()}")

    # Each has its own beginning and end, some milliseconds apart.
    def check_agreement(self, one, other, count_margin=0.02):
        for name in TOP:
            a, b = one.threads[name], other.threads[name]
            both = f"{name}\n{one.text()}\n{other.text()}"
            self.assertAlmostEqual(a.wait / one.seconds, b.wait / other.seconds, delta=0.02, msg=both)
            self.assertAlmostEqual(a.count / one.seconds, b.count / other.seconds,
                                   delta=count_margin * b.count / other.seconds + 1, msg=both)

    # `truth`: a profile of the same time; without one the lengths of the sleeps say what is due.
    def check_stacks(self, waits, share, truth=None):
        for name, function in TOP.items():
            thread = waits.threads[name]
            blocked = thread.wait - sum(thread.by_kind[kind] for kind in PREEMPTED)
            # Of two callers the one waits 15 ms of each 17.
            due = blocked * (15.1 / 17.2 if name == "two_callers" else 1)
            if truth:
                due = truth.threads[name].by_function[function] * waits.seconds / truth.seconds
            self.assertAlmostEqual(thread.by_function[function], due, delta=(1 - share) * blocked,
                                   msg=f"{name}, {function}\n{waits.text()}")
            blocking = {kind: wait for kind, wait in thread.by_kind.items() if kind not in RUNNABLE}
            self.assertEqual(max(blocking, key=blocking.get), KINDS[name], waits.text())

    def test_root(self):
        if not t.may_sample_all_cpus():
            self.skipTest("not permitted to sample all CPUs")
        with t.start_target("steady_waits", 60) as target:
            time.sleep(0.3)
            (without, stderr), (with_bpf, with_stderr) = self.profile(
                target, (None, ["--bpf", "no"]), (None, ["--bpf", "auto"]))
        self.assertIn("waits are measured without BPF", stderr)
        self.assertEqual(without.problems, [])
        self.check_wall(without)
        if "waits are measured without BPF" in with_stderr:
            self.skipTest("no BPF to compare with: " + with_stderr)
        self.check_agreement(without, with_bpf)
        self.check_stacks(without, 0.95, truth=with_bpf)

    def test_ordinary_user(self):
        user = t.UNPRIVILEGED if os.geteuid() == 0 else None
        with t.start_target("steady_waits", 60, user=user) as target:
            time.sleep(0.3)
            ways = [(user, [])] + ([(None, ["--bpf", "no"])] if user else [])
            (mine, stderr), *others = self.profile(target, *ways)
        self.assertIn("waits are measured without BPF", stderr)
        self.check_wall(mine)
        for other, _ in others:
            self.check_agreement(mine, other)
        if "is not permitted" not in stderr.replace("samples in kernel mode are not permitted", ""):
            self.check_stacks(mine, 0.9)


if __name__ == "__main__":
    t.main()
