"""Profiles of the programs of tests/targets/measured_waits.h against what these programs measured themselves."""

import collections
import os
import tempfile

import wait_rows
import whyslow_testing as t
from wait_rows import Directed, Recorder, WaitCase

# Nanoseconds a wait: what the program's own measuring adds to it, and what the kernel adds to a thread's time on the
# CPU before the thread is there (it may take the moment of the wake-up for that of the switch).
MEASURING = 2_000
EARLY = 15_000
# From a wake-up on one CPU until the other one, which was idle, has it in its queue.
INTERRUPT = 60_000
MAIN_FRAMES = ("PlayPart",)
FIRST_FRAMES = ("Begin", "play_as_guest")


def near(one, other, margin):
    return abs(one - other) <= margin


class Comparison:
    """A profile against what the program measured: a list of what does not agree."""

    def __init__(self, profile, truth):
        self.profile, self.truth = profile, truth
        self.problems = []
        self.threads_named = collections.defaultdict(set)
        for thread in truth["threads"]:
            self.threads_named[thread["name"]].add(thread["tid"])

    def object_to(self, what, rows):
        self.problems.append(what + rows.text())

    def check_window(self):
        if not (self.profile.begin < self.truth["begin"] and self.truth["end"] < self.profile.end):
            self.problems.append(f"the play lies not within the profile: {self.profile.begin} "
                                 f"{self.truth['begin']} {self.truth['end']} {self.profile.end}")

    def check_rows(self):
        for row in self.profile.rows:
            if row.wall != row.cpu + row.wait:
                self.problems.append(f"wall is not cpu + wait: {row.text()}")
            if row.kind and row.leaf != f"[wait: {row.kind}]":
                self.problems.append(f"leaf and label differ: {row.text()}")
            if (row.wait or row.count) and (not row.kind or row.cpu):
                self.problems.append(f"a wait without a kind, or with time on a CPU: {row.text()}")

    def groups(self):
        """The accounts of each thread that share a function."""
        for thread in self.truth["threads"]:
            functions = collections.defaultdict(list)
            for account in thread["accounts"]:
                functions[account["function"]].append({"tid": thread["tid"], **account})
            for function, accounts in functions.items():
                rows = self.profile.rows.of_thread(thread["tid"]).with_frame(function)
                yield f"{thread['name']}, {function}", rows, accounts

    def check_times(self):
        for name, rows, accounts in self.groups():
            off = sum(account["wall"] - account["cpu"] for account in accounts)
            operations = sum(account["operations"] for account in accounts)
            most = sum(account["wall"] for account in accounts)
            # A stack is not taken of each thread that loses its CPU.
            placeless = self.profile.rows.of_thread(accounts[0]["tid"]).of_kind(*wait_rows.INVOLUNTARY).where(
                lambda row: not row.frames).wait
            least = 0.99 * off - MEASURING * operations - placeless
            most = min(1.01 * off + EARLY * operations, most + MEASURING * operations)
            if not least <= rows.wait <= most:
                self.object_to(f"{name}: waited {rows.wait / 1e6:.3f} ms, in truth {off / 1e6:.3f} ms, at most "
                               f"{most / 1e6:.3f}", rows)

    def check_counts(self):
        for name, rows, accounts in self.groups():
            for account in accounts:
                mine = self.of_account(rows, account, len(accounts) > 1).voluntary()
                if mine.count != account["voluntary"]:
                    self.object_to(f"{name} {account['peer']}: {mine.count} waits, in truth "
                                   f"{account['voluntary']}", rows)

    @staticmethod
    def of_account(rows, account, by_peer):
        return rows.where(lambda row: row.labels.get("peer", "") == account["peer"]) if by_peer else rows

    def check_reasons(self):
        for name, rows, accounts in self.groups():
            for account in accounts:
                self.check_reason(name, account, self.of_account(rows, account, len(accounts) > 1))
            peers = [account["peer"] for account in accounts]
            lost = rows.voluntary().where(lambda row, peers=peers: row.labels.get("peer", "") not in peers)
            if len(accounts) > 1 and lost:
                self.object_to(f"{name}: of no known peer:", lost)

    def check_reason(self, name, account, rows):
        kinds = account["kind"].split("|")
        wrong = rows.waiting().where(lambda row: row.kind not in (*kinds, *wait_rows.RUNNABLE))
        if wrong:
            self.object_to(f"{name}: not of the kind {account['kind']}:", wrong)
        waits = rows.of_kind(*kinds)
        for key in ("peer", "protocol", "file"):
            if account[key]:
                wrong = waits.where(lambda row, key=key: row.labels.get(key) != account[key])
                if wrong:
                    self.object_to(f"{name}: {key} is not {account[key]}:", wrong)
        if account["waker"] == "nobody":
            wrong = waits.where(lambda row: "waker" in row.labels or "waker_tid" in row.labels)
            if wrong:
                self.object_to(f"{name}: was woken by a timer, and by no thread:", wrong)
        elif account["waker"]:
            self.check_waker(name, account["waker"], waits)

    # Who came too late to wait, or was woken by a signal, has another waker or none.
    def check_waker(self, name, waker, waits):
        def right(row):
            return row.labels.get("waker") == waker and row.labels.get("waker_tid") in self.threads_named[waker]

        if waits.where(right).wait < 0.98 * waits.wait:
            self.object_to(f"{name}: was not woken by {waker}:", waits.where(lambda row: not right(row)))

    def check_stacks(self):
        for name, rows, accounts in self.groups():
            function = accounts[0]["function"]

            def whole(row, function=function):
                names = row.names
                if any(frame.startswith("[truncated") for frame in row.frames):
                    return False
                first = [i for i, each in enumerate(names) if each in FIRST_FRAMES]
                part = [i for i, each in enumerate(names) if each in MAIN_FRAMES]
                return bool(first and part and first[0] < part[0] < names.index(function))

            broken = rows.where(lambda row: not whole(row))
            if broken:
                self.object_to(f"{name}: stacks that do not lead to the thread's beginning:", broken)

    # What measures is no part of what is measured.
    def check_own_frames(self):
        own = self.profile.rows.where(lambda row: any(
            frame.startswith(("bpf_trace_run", "bpf_prog_", "__bpf_trace_", "__traceiter_")) for frame in row.frames))
        if own:
            self.object_to("whyslow's own programs on stacks:", own)

    def check_threads(self):
        self.check_times_of_threads(has_run_queue=True)

    def check_threads_without_run_queue(self):
        """Where nobody sees wake-ups, time in the run queue is a part of the waits."""
        self.check_times_of_threads(has_run_queue=False)

    def check_times_of_threads(self, has_run_queue):
        for thread in self.truth["threads"]:
            rows = self.profile.rows.of_thread(thread["tid"])
            if thread["guest"]:
                continue  # it stood in a queue before it could look, and ended after that
            margin = 0.01 * max(thread["wall"], 100_000_000)
            # The kernel charges a thread that is woken on an idle CPU from the wake-up on; we count from the switch.
            early = EARLY * thread["voluntary"]
            if not -margin - early <= rows.cpu - thread["cpu"] <= margin:
                self.object_to(f"{thread['name']}: {rows.cpu / 1e6:.3f} ms on CPUs, in truth "
                               f"{thread['cpu'] / 1e6:.3f}", rows)
            if has_run_queue:
                self.check_queue(thread, rows.of_kind(*wait_rows.INVOLUNTARY), margin)
            self.check_whole_time(thread["name"], rows)

    # On its ways from the first gate and to the second one a thread can lose its CPU too.
    def check_queue(self, thread, rows, margin):
        queued = rows.where(lambda row: not row.has("stand_at_gate")).wait
        most = thread["run_delay"] + margin + INTERRUPT * thread["voluntary"]
        if thread["run_delay"] >= 0 and not thread["run_delay"] - margin <= queued <= most:
            self.object_to(f"{thread['name']}: {rows.wait / 1e6:.3f} ms without a CPU, in truth "
                           f"{thread['run_delay'] / 1e6:.3f}", rows)
        true = thread["involuntary"]
        if not true <= rows.count <= true + 3 + 0.02 * true:
            self.object_to(f"{thread['name']}: lost its CPU {rows.count} times, in truth {true}", rows)

    def check_whole_time(self, name, rows):
        if not near(rows.cpu + rows.wait, self.profile.duration, 0.01 * self.profile.duration):
            self.object_to(f"{name}: on + off = {(rows.cpu + rows.wait) / 1e9:.4f} s of "
                           f"{self.profile.duration / 1e9:.4f}", rows)

    # Each thread stands at the gate when the profile begins, and at another one when it ends; threads that come to
    # a gate at one time wait for its lock too.
    def check_switches(self):
        for thread in self.truth["threads"]:
            if thread["guest"]:
                continue
            rows = self.profile.rows.of_thread(thread["tid"])
            gates = rows.with_frame("stand_at_gate").voluntary()
            others = rows.voluntary().count - gates.count
            if gates.count < 2 or others != thread["voluntary"]:
                self.object_to(f"{thread['name']}: {gates.count} waits at gates and {others} others, in truth 2 or "
                               f"more and {thread['voluntary']}", rows)


class Measured(WaitCase):
    """Runs a program of measured_waits.h under whyslow."""

    def record(self, name, *arguments, options=(), mode="wall"):
        with Directed(name, *arguments, user=self.USER) as target:
            recorder = Recorder(self, target.pid, *options, mode=mode)
            truth = target.play()
            outcome = recorder.finish()
            target.tell("end")
            self.assertEqual(target.process.wait(30), 0)
        for reason in truth["skipped"]:
            print(f"{self.id()}: not tested: {reason}")
        return self.read(outcome), truth

    def compare(self, profile, truth, *checks):
        """Each check of Comparison as a subtest of its own."""
        for check in ("check_window", *checks):
            with self.subTest(check):
                comparison = Comparison(profile, truth)
                getattr(comparison, check)()
                if comparison.problems:
                    self.fail("\n".join([f"{len(comparison.problems)} problems", *comparison.problems[:8],
                                         profile.outcome.stderr]))

    def disk_folder(self):
        """On the disk that the build is on: /tmp may be memory."""
        folder = tempfile.TemporaryDirectory(prefix="waits-", dir=t.BUILD)
        self.addCleanup(folder.cleanup)
        os.chmod(folder.name, 0o777)
        return folder.name
