#!/usr/bin/env python3
"""Waits of programs that keep their own accounts of them: every one counted, every microsecond told, with the
right reason, peer and stack."""

import collections
import os
import subprocess
import unittest

import wait_rows
import whyslow_testing as t
from wait_truth import Measured


class EveryWait(Measured):
    """Where the kernel's switches can be followed one by one, counts are exact."""

    CHECKS = ("check_rows", "check_times", "check_counts", "check_reasons", "check_stacks", "check_own_frames",
              "check_threads", "check_switches")

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
        with self.subTest("what took the CPU"):
            self.check_scheduler(profile, truth)
        with self.subTest("a wait that began long before the profile and ends long after it"):
            rows = profile.rows.with_frame("blocked_since_yesterday")
            self.assertEqual(rows.kinds().keys(), {"pipe"}, rows.text())
            self.assertEqual(rows.count, 1, rows.text())
            self.assertAlmostEqual(rows.wait, profile.duration, delta=0.01 * profile.duration, msg=rows.text())
            self.assertEqual(rows[0].thread, "yesterday")

    # The program's own figures of the time off a CPU are too coarse for waits this short; all of the time is not.
    def test_very_many_waits(self):
        profile, truth = self.record("waits_ping_pong")
        self.check_play(truth, 50_000)
        self.compare(profile, truth, "check_rows", "check_counts", "check_switches", "check_reasons")
        for thread in truth["threads"]:
            with self.subTest(thread["name"]):
                rows = profile.rows.of_thread(thread["tid"])
                self.assertAlmostEqual(rows.cpu + rows.wait, profile.duration, delta=0.01 * profile.duration,
                                       msg=rows.text())

    # Two threads on one CPU take it from each other; who yields gives it away.
    def check_scheduler(self, profile, truth):
        for thread in truth["threads"]:
            rows = profile.rows.of_thread(thread["tid"])
            if thread["name"].startswith("shares_cpu"):
                lack = thread["wall"] - thread["cpu"]
                self.assertGreater(lack, 0.2 * thread["wall"])
                self.assertAlmostEqual(rows.of_kind("preempted").wait, lack, delta=0.05 * lack, msg=rows.text())
            if thread["name"].startswith("yields"):
                given = rows.with_frame("give_cpu_away").of_kind("runqueue")
                self.assertGreaterEqual(given.count, 0.95 * thread["involuntary"], rows.text())

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


class Replayed(Measured):
    def test_a_recording_has_the_same_waits(self):
        recording = self.folder / "events"
        profile, _ = self.record("waits_locks", options=("--record", recording))
        again = self.folder / "again.pb.gz"
        ended = subprocess.run([t.WHYSLOW, "replay", recording, "--output", again], capture_output=True, text=True,
                               timeout=120)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertEqual(self.sums(wait_rows.rows_of(again)), self.sums(profile.rows))

    @staticmethod
    def sums(rows):
        found = collections.Counter()
        for row in rows.waiting():
            # Code that the kernel got at run time has no name any more.
            names = [name for name in row.names if not name.startswith(("bpf_prog_", "[[kernel"))]
            key = row.tid, row.kind, row.labels.get("peer"), row.labels.get("waker"), *names
            found[(*key, "count")] += row.count
            found[(*key, "wait")] += row.wait
        return found


class WithoutBpf(Measured):
    """The perf path: the same totals of time for each thread.

    Its stacks are those of a part of the waits: these plays last a second, in which all of them are new.
    waits_without_bpf_test.py compares the stacks of a longer one.
    """

    OPTIONS = ("--bpf", "no")

    def check(self, *arguments):
        profile, truth = self.record(*arguments)
        self.compare(profile, truth, "check_rows", "check_threads_without_run_queue")

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


@unittest.skipIf(os.geteuid() != 0, "who runs the tests is an ordinary user already")
class OrdinaryUser(WithoutBpf):
    OPTIONS = ()
    USER = t.UNPRIVILEGED


if __name__ == "__main__":
    t.main()
