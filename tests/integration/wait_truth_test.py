#!/usr/bin/env python3
"""Does the comparison notice what is wrong with a profile? A true one is made up, and spoiled in one way each."""

import types
import unittest

from wait_rows import Rows
from wait_truth import Comparison

MILLISECOND = 1_000_000
SECOND = 1_000 * MILLISECOND
BASE = ["Begin", "PlayPart", "operator()"]


def row(kind, frames, count, wait, cpu=0, **labels):
    made = types.SimpleNamespace(tid=11, pid=10, thread="waiter", kind=kind, frames=list(frames), count=count,
                                 wait=wait, cpu=cpu, wall=wait + cpu, leaf=f"[wait: {kind}]" if kind else "",
                                 labels=labels)
    made.names = made.frames
    made.has = lambda function: function in made.frames
    made.text = lambda: f"{made.kind} x{made.count} {made.wait} {made.frames} {made.labels}"
    return made


def usage(wall, cpu, voluntary, involuntary):
    return {"wall": wall, "cpu": cpu, "voluntary": voluntary, "involuntary": involuntary, "major_faults": 0}


def account(function, kind, operations, figures, **labels):
    return {"function": function, "kind": kind, "operations": operations, "peer": "", "protocol": "", "file": "",
            "waker": "", **labels, **figures}


def truth():
    ours = {"name": "waiter", "tid": 11, "guest": False, "run_delay": 10 * MILLISECOND,
            **usage(SECOND, 100 * MILLISECOND, 310, 3),
            "accounts": [account("lock", "mutex", 100, usage(400 * MILLISECOND, 0, 100, 3), waker="waker"),
                         account("ask", "socket", 100, usage(200 * MILLISECOND, 0, 100, 0), peer="1.1.1.1:1"),
                         account("ask", "socket", 100, usage(300 * MILLISECOND, 0, 100, 0), peer="2.2.2.2:2"),
                         account("nap", "sleep", 10, usage(10 * MILLISECOND, 0, 10, 0), waker="nobody")]}
    other = {"name": "waker", "tid": 12, "guest": True, "run_delay": -1, **usage(0, 0, 0, 0), "accounts": []}
    return {"begin": SECOND, "end": 2 * SECOND, "skipped": [], "threads": [ours, other]}


def rows():
    return Rows([row("", [*BASE, "lock"], 0, 0, cpu=100 * MILLISECOND),
                 row("mutex", [*BASE, "lock"], 100, 390 * MILLISECOND, waker="waker", waker_tid=12),
                 row("runqueue", [*BASE, "lock"], 0, 7 * MILLISECOND),
                 row("preempted", [*BASE, "lock"], 3, 3 * MILLISECOND),
                 row("socket", [*BASE, "ask"], 100, 200 * MILLISECOND, peer="1.1.1.1:1"),
                 row("socket", [*BASE, "ask"], 100, 300 * MILLISECOND, peer="2.2.2.2:2"),
                 row("pipe", ["Begin", "stand_at_gate"], 2, 1_990 * MILLISECOND),
                 row("sleep", [*BASE, "nap"], 10, 10 * MILLISECOND)])


def problems(check, change=None):
    made = rows()
    if change:
        change(made)
    profile = types.SimpleNamespace(rows=made, begin=0, end=3 * SECOND, duration=3 * SECOND)
    comparison = Comparison(profile, truth())
    getattr(comparison, check)()
    return comparison.problems


def set_row(index, **fields):
    def change(made):
        for name, value in fields.items():
            setattr(made[index], name, value)
    return change


class ComparisonTest(unittest.TestCase):
    CHECKS = ("check_window", "check_rows", "check_times", "check_counts", "check_reasons", "check_stacks",
              "check_own_frames", "check_threads", "check_switches")

    def test_a_true_profile_is_good(self):
        for check in self.CHECKS:
            self.assertEqual(problems(check), [], check)

    def assert_noticed(self, check, change):
        self.assertNotEqual(problems(check, change), [])

    def test_one_wait_too_few(self):
        self.assert_noticed("check_counts", set_row(1, count=99))
        self.assert_noticed("check_switches", set_row(1, count=99))

    def test_one_wait_too_many(self):
        self.assert_noticed("check_counts", set_row(4, count=101))

    def test_waits_of_two_peers_taken_for_one(self):
        self.assert_noticed("check_counts", set_row(5, labels={"peer": "1.1.1.1:1"}))

    def test_counted_again_for_the_time_in_the_queue(self):
        self.assert_noticed("check_threads", set_row(2, count=100))

    def test_two_percent_too_long(self):
        self.assert_noticed("check_times", set_row(1, wait=398 * MILLISECOND))

    def test_another_kind(self):
        self.assert_noticed("check_reasons", set_row(1, kind="futex"))

    def test_no_peer(self):
        self.assert_noticed("check_reasons", set_row(4, labels={}))

    def test_another_waker(self):
        self.assert_noticed("check_reasons", set_row(1, labels={"waker": "waiter", "waker_tid": 11}))
        self.assert_noticed("check_reasons", set_row(1, labels={"waker": "waker", "waker_tid": 11}))

    def test_a_waker_where_a_timer_ended_it(self):
        self.assert_noticed("check_reasons", set_row(7, labels={"waker": "waker", "waker_tid": 12}))

    def test_preempted_more_often_or_less(self):
        self.assert_noticed("check_threads", set_row(3, count=2))
        self.assert_noticed("check_threads", set_row(3, count=9))

    def test_a_stack_that_is_cut(self):
        cut = ["[truncated: no unwind information]", "PlayPart", "operator()", "lock"]
        self.assert_noticed("check_stacks", set_row(1, frames=cut, names=cut))

    def test_frames_of_what_measures(self):
        seen = [*BASE, "lock", "__schedule", "bpf_trace_run4"]
        self.assert_noticed("check_own_frames", set_row(1, frames=seen, names=seen))

    def test_time_that_is_missing(self):
        self.assert_noticed("check_threads", set_row(6, wait=1_900 * MILLISECOND))

    def test_time_on_cpus_that_was_none(self):
        self.assert_noticed("check_threads", set_row(0, cpu=120 * MILLISECOND))

    def test_a_queue_that_nobody_stood_in(self):
        self.assert_noticed("check_threads", set_row(2, wait=47 * MILLISECOND))

    def test_a_gate_that_was_not_seen(self):
        self.assert_noticed("check_switches", set_row(6, count=1))

    def test_a_leaf_that_is_not_the_label(self):
        self.assert_noticed("check_rows", set_row(1, leaf="[wait: futex]"))


if __name__ == "__main__":
    unittest.main()
