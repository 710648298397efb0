#!/usr/bin/env python3
"""Waits of programs that keep their own accounts of them: every one counted, every microsecond told, with the
right reason, peer and stack."""

import collections
import tempfile

import wait_rows
import whyslow_testing as t
from wait_rows import Directed, Recorder, WaitProfile

PER_OPERATION = 2_000  # nanoseconds that the program's own measuring adds to a wait
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
                functions[account["function"]].append(account)
            for function, accounts in functions.items():
                rows = self.profile.rows.of_thread(thread["tid"]).with_frame(function)
                yield f"{thread['name']}, {function}", rows, accounts

    def check_times(self):
        for name, rows, accounts in self.groups():
            off = sum(account["wall"] - account["cpu"] for account in accounts)
            slack = PER_OPERATION * sum(account["operations"] for account in accounts)
            if not near(rows.wait, off, 0.01 * off + slack):
                self.object_to(f"{name}: waited {rows.wait / 1e6:.3f} ms, in truth {off / 1e6:.3f} ms", rows)

    def check_counts(self):
        for name, rows, accounts in self.groups():
            for account in accounts:
                mine = self.of_account(rows, account, len(accounts) > 1).voluntary()
                if mine.count != account["voluntary"]:
                    self.object_to(f"{name} {account['peer']}: {mine.count} waits, in truth "
                                   f"{account['voluntary']}", rows)
            # The last look at the count is in the function too, and can be where it is preempted.
            mine = rows.of_kind(*wait_rows.INVOLUNTARY).count
            true = sum(account["involuntary"] for account in accounts)
            if not true <= mine <= true + 2 + 0.02 * true:
                self.object_to(f"{name}: lost its CPU {mine} times, in truth {true}", rows)

    @staticmethod
    def of_account(rows, account, by_peer):
        return rows.where(lambda row: row.labels.get("peer", "") == account["peer"]) if by_peer else rows

    def check_reasons(self):
        for name, rows, accounts in self.groups():
            for account in accounts:
                self.check_reason(name, account, self.of_account(rows, account, len(accounts) > 1))

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
        if account["waker"]:
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

    def check_threads(self):
        for thread in self.truth["threads"]:
            rows = self.profile.rows.of_thread(thread["tid"])
            margin = 0.01 * max(thread["wall"], 100_000_000)
            if not near(rows.cpu, thread["cpu"], margin):
                self.object_to(f"{thread['name']}: {rows.cpu / 1e6:.3f} ms on CPUs, in truth "
                               f"{thread['cpu'] / 1e6:.3f}", rows)
            queued = rows.of_kind(*wait_rows.INVOLUNTARY).wait
            if thread["run_delay"] >= 0 and not near(queued, thread["run_delay"], margin):
                self.object_to(f"{thread['name']}: {queued / 1e6:.3f} ms without a CPU, in truth "
                               f"{thread['run_delay'] / 1e6:.3f}", rows)
            if not thread["guest"]:
                self.check_whole_time(thread["name"], rows)

    def check_whole_time(self, name, rows):
        if not near(rows.cpu + rows.wait, self.profile.duration, 0.01 * self.profile.duration):
            self.object_to(f"{name}: on + off = {(rows.cpu + rows.wait) / 1e9:.4f} s of "
                           f"{self.profile.duration / 1e9:.4f}", rows)

    # Each thread stands at the gate when the profile begins, and at another one when it ends.
    def check_switches(self):
        for thread in self.truth["threads"]:
            if thread["guest"]:
                continue
            rows = self.profile.rows.of_thread(thread["tid"])
            gates = rows.with_frame("stand_at_gate").voluntary()
            others = rows.voluntary().count - gates.count
            if gates.count != 2 or others != thread["voluntary"]:
                self.object_to(f"{thread['name']}: {gates.count} waits at gates and {others} others, in truth 2 and "
                               f"{thread['voluntary']}", rows)


class Measured(t.Case):
    """Runs a program of measured_waits.h under whyslow."""

    OPTIONS = ()

    def setUp(self):
        super().setUp()
        reason = wait_rows.why_not_measured(self.OPTIONS)
        if reason:
            self.skipTest(reason)

    def record(self, name, *arguments, mode="wall"):
        with Directed(name, *arguments) as target:
            recorder = Recorder(self, target.pid, *self.OPTIONS, mode=mode)
            truth = target.play()
            outcome = recorder.finish()
            target.tell("end")
            self.assertEqual(target.process.wait(30), 0)
        self.assert_profile(outcome)
        for reason in truth["skipped"]:
            print(f"{self.id()}: not tested: {reason}")
        profile = WaitProfile(outcome)
        self.assertEqual(profile.pprof.problems(), [])
        return profile, truth

    def compare(self, profile, truth, *checks):
        """Each check of Comparison as a subtest of its own."""
        for check in ("check_window", *checks):
            with self.subTest(check):
                comparison = Comparison(profile, truth)
                getattr(comparison, check)()
                self.assertEqual(comparison.problems, [], "\n" + "\n".join(comparison.problems[:6])
                                 + "\n" + profile.outcome.stderr)

    def disk_folder(self):
        """On the disk that the build is on: /tmp may be memory."""
        folder = tempfile.TemporaryDirectory(prefix="waits-", dir=t.BUILD)
        self.addCleanup(folder.cleanup)
        return folder.name


class EveryWait(Measured):
    """Where the kernel's switches can be followed one by one, counts are exact."""

    OPTIONS = ("--bpf", "auto")
    CHECKS = ("check_rows", "check_times", "check_counts", "check_reasons", "check_stacks", "check_threads",
              "check_switches")

    # What the program says it measured has to be worth a comparison.
    def check_play(self, truth, least):
        waits = sum(account["voluntary"] for thread in truth["threads"] for account in thread["accounts"])
        self.assertGreater(waits, least)

    def test_locks(self):
        profile, truth = self.record("waits_locks")
        self.check_play(truth, 2000)
        self.compare(profile, truth, *self.CHECKS)

    def test_sockets(self):
        profile, truth = self.record("waits_network", self.folder)
        self.check_play(truth, 2000)
        self.compare(profile, truth, *self.CHECKS)
        with self.subTest("folded"):
            leaves = {frames[-1] for frames, _ in profile.outcome.folded().waits}
            for leaf in ("[wait: socket 127.0.86.7:5432 postgresql]", "[wait: connect 127.0.86.4:5432 postgresql]",
                         f"[wait: socket {self.folder}/slow.sock]"):
                self.assertIn(leaf, leaves)

    def test_descriptors_time_and_processes(self):
        profile, truth = self.record("waits_events")
        self.check_play(truth, 2000)
        self.compare(profile, truth, *self.CHECKS)

    def test_files(self):
        profile, truth = self.record("waits_files", self.disk_folder())
        self.check_play(truth, 200)
        faults = [account for thread in truth["threads"] for account in thread["accounts"]
                  if account["function"] == "touch_cold_page"][0]
        if faults["major_faults"] < 0.5 * faults["operations"]:
            print(f"{self.id()}: not tested: pages stayed in memory, {faults['major_faults']} major faults")
        self.compare(profile, truth, *self.CHECKS)

    def test_work_and_waits(self):
        profile, truth = self.record("waits_cpu")
        self.compare(profile, truth, *self.CHECKS)
        with self.subTest("a wait that began long before the profile and ends long after it"):
            rows = profile.rows.with_frame("blocked_since_yesterday")
            self.assertEqual(rows.kinds().keys(), {"pipe"}, rows.text())
            self.assertEqual(rows.count, 1, rows.text())
            self.assertAlmostEqual(rows.wait, profile.duration, delta=0.01 * profile.duration, msg=rows.text())
            self.assertEqual(rows[0].thread, "yesterday")

    def test_two_callers_of_one_wait_are_told_apart(self):
        profile, truth = self.record("waits_events")
        both = [thread for thread in truth["threads"] if thread["name"] == "two_callers"][0]
        for account, length in zip(both["accounts"], (300_000, 700_000)):
            self.assertEqual(account["operations"], 500)
            rows = profile.rows.of_thread(both["tid"]).with_frame("shared_wait").with_frame(account["function"])
            self.assertEqual(rows.voluntary().count, account["voluntary"], rows.text())
            self.assertGreaterEqual(rows.of_kind("sleep").wait, 500 * length)
        neither = profile.rows.of_thread(both["tid"]).with_frame("shared_wait").where(
            lambda row: row.has("first_caller") == row.has("second_caller"))
        self.assertEqual(neither, [], neither.text())


class Modes(Measured):
    OPTIONS = ("--bpf", "auto")

    def test_only_waits(self):
        profile, truth = self.record("waits_cpu", mode="offcpu")
        self.assertEqual(profile.rows.cpu, 0)
        self.assertEqual(profile.pprof.total("cpu_samples"), 0)
        self.compare(profile, truth, "check_rows", "check_times", "check_counts")
        self.assertEqual(profile.outcome.folded().stacks, [])

    def test_only_time_on_cpus(self):
        profile, _ = self.record("waits_cpu", mode="cpu")
        self.assertEqual(profile.rows.waiting(), [])
        self.assertEqual((profile.pprof.total("waits"), profile.pprof.total("wait")), (0, 0))
        self.assertGreater(profile.rows.cpu, 2.2e9)

    def test_folded_stacks_are_microseconds_and_have_all_of_the_time(self):
        profile, _ = self.record("waits_locks")
        folded = profile.outcome.folded()
        total = sum(value for _, value in folded.stacks + folded.waits)
        self.assertAlmostEqual(total, profile.pprof.total("wall") / 1e3, delta=1)
        self.assertAlmostEqual(sum(value for _, value in folded.waits), profile.pprof.total("wait") / 1e3,
                               delta=len(folded.waits))


class WithoutBpf(Measured):
    """The perf path: the same totals of time for each thread, and the same stacks at the top."""

    OPTIONS = ("--bpf", "no")

    # Stacks are taken of a part of the waits and weighed.
    def check_top(self, profile, truth):
        for thread in truth["threads"]:
            accounts = collections.Counter()
            for account in thread["accounts"]:
                accounts[account["function"]] += account["wall"] - account["cpu"]
            if thread["guest"] or not accounts:
                continue
            function, off = accounts.most_common(1)[0]
            rows = profile.rows.of_thread(thread["tid"])
            top = rows.with_frame(function)
            self.assertAlmostEqual(top.wait, off, delta=0.1 * off + 0.02 * thread["wall"],
                                   msg=f"{thread['name']}, {function}{rows.text()}")

    def check(self, *arguments):
        profile, truth = self.record(*arguments)
        self.compare(profile, truth, "check_rows", "check_threads")
        with self.subTest("top stacks"):
            self.check_top(profile, truth)

    def test_locks(self):
        self.check("waits_locks")

    def test_sockets(self):
        self.check("waits_network", self.folder)

    def test_descriptors_time_and_processes(self):
        self.check("waits_events")

    def test_files(self):
        self.check("waits_files", self.disk_folder())

    def test_work_and_waits(self):
        self.check("waits_cpu")


if __name__ == "__main__":
    t.main()
