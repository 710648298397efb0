#!/usr/bin/env python3
"""Profiles of programs whose truth is known: shares, short-lived threads, children, exec, endings, names."""

import os
import pathlib
import signal
import time
import unittest
import xml.etree.ElementTree

import whyslow_testing as t
from pprof_file import PprofFile


class KnownSplit(t.Case):
    TRUTH = {"burn_fifty": 0.5, "burn_thirty": 0.3, "burn_twenty": 0.2}

    def test_shares_are_within_two_points_of_the_truth(self):
        for name, user, options in t.variants():
            with self.subTest(name), t.start_target("split_50_30_20", 30, user=user) as target:
                used_before = t.cpu_seconds(target.pid)
                outcome = self.attach(target.pid, "--duration", "10s", "--frequency", 999, *options, user=user)
                used = t.cpu_seconds(target.pid) - used_before
                folded = self.assert_profile(outcome)
                for function, share in self.TRUTH.items():
                    self.assertAlmostEqual(folded.share(function), share, delta=0.02, msg=folded.summary())
                self.check_time(PprofFile(outcome.pprof), used)

    # The target burned without a pause; what it used outside of the window is whyslow's start and end.
    def check_time(self, pprof, used):
        self.assertEqual(pprof.problems(), [])
        sampled = pprof.total("cpu") / 1e9
        self.assertLess(sampled, used * 1.03)
        self.assertGreater(sampled, min(used, 10) * 0.85)


class ThreadStorm(t.Case):
    def setUp(self):
        super().setUp()
        if not t.may_sample_all_cpus():
            self.skipTest("threads that live shorter than a sampling period want events per CPU: root")

    # What the target said it had used at a moment; between two of its lines, in proportion.
    @staticmethod
    def used_at(lines, moment):
        rows = [(int(line.split()[1]) / 1e9, dict(field.split("=") for field in line.split()[2:]))
                for line in lines if line.startswith("TRUTH")]
        later = next((i for i, (at, _) in enumerate(rows) if at >= moment and i > 0), len(rows) - 1)
        (t0, before), (t1, after) = rows[later - 1], rows[later]
        part = min(1.0, max(0.0, (moment - t0) / (t1 - t0)))
        return {name: int(before[name]) + part * (int(after[name]) - int(before[name])) for name in before}

    def truth(self, lines, pprof):
        """The storm's share in the profile's own window: on a busy machine it does not stay the same."""
        begin = pprof.raw.time_nanos / 1e9 - (time.time() - time.monotonic())
        first, last = self.used_at(lines, begin), self.used_at(lines, begin + pprof.raw.duration_nanos / 1e9)
        self.assertGreater(last["threads"] - first["threads"], 100)
        storm, steady = (last[name] - first[name] for name in ("storm", "steady"))
        return storm / (storm + steady)

    def check(self, seconds, rate, microseconds):
        for name, user, options in t.variants():
            if user is not None:
                continue
            with self.subTest(name), t.start_target("thread_storm", seconds + 4, rate, microseconds) as target:
                outcome = self.attach(target.pid, "--duration", f"{seconds}s", "--frequency", 999, *options)
                folded = self.assert_profile(outcome)
                pprof = PprofFile(outcome.pprof)
                # A source that ends too soon would still have right shares of the little that it saw.
                self.assertGreater(pprof.raw.duration_nanos / 1e9, 0.9 * seconds, outcome.stderr)
                share = self.truth(target.rest_of_output(), pprof)
                self.assertAlmostEqual(self.storm_share(folded), share, delta=0.03, msg=folded.summary())
                # New threads return from clone's system call, where glibc's CFI has a gap.
                lost = folded.weight(lambda frames: "[truncated: no unwind information]" in frames)
                self.assertLessEqual(lost, 0.001 * folded.total, folded.summary())

    # A thread's beginning and end in the kernel are its own too, without a frame of the storm; the main thread,
    # which only makes threads, is left out on both sides.
    @staticmethod
    def storm_share(folded):
        def is_steady(frames):
            return "SteadyThread" in map(t.plain, frames)

        def is_main(frames):
            return "main" in map(t.plain, frames) or any(frame.startswith("__do_sys_clone3") for frame in frames)

        steady = folded.weight(is_steady)
        others = folded.total - steady - folded.weight(lambda frames: is_main(frames) and not is_steady(frames))
        return others / max(1, others + steady)

    def test_a_thousand_threads_a_second_get_their_share(self):
        self.check(5, 1000, 500)

    def test_threads_of_five_milliseconds_get_their_share(self):
        self.check(4, 100, 5000)


class Children(t.Case):
    def test_workers_forked_before_attach_are_all_seen(self):
        for name, user, options in t.variants():
            with self.subTest(name), t.start_target("prefork", 12, 2, user=user) as target:
                outcome = self.attach(target.pid, "--duration", "3s", "--frequency", 999, *options, user=user)
                folded = self.assert_profile(outcome)
                for worker in ("prefork_worker_0", "prefork_worker_1"):
                    self.assertGreater(folded.share(worker), 0.2, folded.summary())
                self.assertEqual(folded.share("prefork_worker_2"), 0)

    def test_children_and_grandchildren_to_come_are_seen(self):
        for name, user, options in t.variants():
            with self.subTest(name), t.start_target("prefork", 12, 0, 10, user=user) as target:
                outcome = self.attach(target.pid, "--duration", "4s", "--frequency", 999, *options, user=user)
                folded = self.assert_profile(outcome)
                child, grandchild = folded.share("late_child_burn"), folded.share("late_grandchild_burn")
                # Equal work in both; the rest is fork and exit. On a busy machine some begin but do not get far.
                self.assertGreater(child, 0.15, folded.summary())
                self.assertGreater(grandchild, 0.15, folded.summary())

    def test_children_are_left_out_on_request(self):
        with t.start_target("prefork", 12, 2) as target:
            outcome = self.attach(target.pid, "--duration", "1s", "--frequency", 999, "--children", "no")
            self.assertEqual(outcome.code, 0, outcome.stderr)
            self.assertEqual(outcome.folded().share("prefork_worker_0", "prefork_worker_1"), 0)

    def test_a_process_that_execs_is_followed_into_its_new_lives(self):
        for name, user, options in t.variants():
            with self.subTest(name), t.start_target("exec_chain", 2, user=user) as target:
                outcome = self.attach(target.pid, "--duration", "20s", "--frequency", 999, *options, user=user)
                folded = self.assert_profile(outcome)
                for life in ("exec_life_1", "exec_life_2", "exec_life_3"):
                    self.assertGreater(folded.share(life), 0.15, folded.summary())
                self.assertLess(folded.truncated_share(), 0.01, folded.summary())


class Endings(t.Case):
    def test_a_target_that_dies_leaves_a_full_profile(self):
        for way in ("exit", "abort", "kill"):
            for name, user, options in t.variants():
                with self.subTest(f"{way}, {name}"), t.start_target("dies_midway", 2.5, way, user=user) as target:
                    outcome = self.attach(target.pid, "--duration", "40s", "--frequency", 999, *options, user=user)
                    folded = self.assert_profile(outcome)
                    self.assertGreater(folded.share("last_breath"), 0.9, folded.summary())
                    self.assertLess(outcome.seconds, 20)

    def test_ctrl_c_and_sigterm_end_the_profile_early_and_write_it(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            for name, user, options in t.variants():
                with self.subTest(f"{number.name}, {name}"), \
                        t.start_target("split_50_30_20", 30, user=user) as target:
                    outcome = self.attach_and_interrupt(target.pid, 2.5, [number], "--frequency", 999, *options,
                                                        user=user)
                    folded = self.assert_profile(outcome)
                    self.assertGreater(folded.total, 100, outcome.stderr)
                    self.assertGreater(folded.share(*KnownSplit.TRUTH), 0.95, folded.summary())

    def test_a_second_ctrl_c_leaves_all_files_or_none(self):
        with t.start_target("split_50_30_20", 30) as target:
            outcome = self.attach_and_interrupt(target.pid, 2, [signal.SIGINT, signal.SIGINT], gap=0.002)
            self.assertIn((outcome.code, len(outcome.files())), [(130, 0), (0, 3)], outcome.stderr)
            self.assertEqual([p for p in outcome.pprof.parent.iterdir() if p not in outcome.files()], [])

    def test_a_target_that_only_sleeps_gives_a_profile_too(self):
        with t.start_target("sleeper", 20) as target:
            outcome = self.attach(target.pid, "--duration", "1s")
            self.assertEqual(self.assert_profile(outcome).total, 0)


class Names(t.Case):
    def check_files(self, outcome):
        folded = self.assert_profile(outcome)
        self.assertEqual(PprofFile(outcome.pprof).problems(), [])
        text = outcome.folded_file.read_text(encoding="utf-8")
        controls = {c for c in text if ord(c) < 32 or ord(c) == 127} - {"\n"}
        self.assertEqual(controls, set())
        root = xml.etree.ElementTree.parse(outcome.svg).getroot()
        self.assertEqual(root.tag.rpartition("}")[2], "svg")
        return folded

    def test_odd_thread_names_break_no_format(self):
        with t.start_target("weird_names", 20) as target:
            folded = self.check_files(self.attach(target.pid, "--duration", "3s", "--frequency", 999))
            threads = {frames[0] for frames, _ in folded.stacks}
            for name in ("sp ace", "semi:colon", "new line", "tab here", "<script>&", "ends 12 34", "€€"):
                self.assertIn(name, threads)
            self.assertGreaterEqual(len(threads), 11)
            self.assertGreater(folded.share("weird_burn"), 0.5, folded.summary())

    def test_odd_paths_break_no_format(self):
        folder = os.fsencode(self.folder) + b"/a;b <x>&\n\"'\xff\xfe"
        os.mkdir(folder)
        path = folder + b"/pro gram;\xe2\x82\xac\xff"
        with open(path, "wb") as copy:
            copy.write((t.TARGETS / "split_50_30_20").read_bytes())
        os.chmod(path, 0o755)
        with t.Child([path, "20"]) as target:
            target.wait_for_line("READY")
            outcome = self.attach(target.pid, "--duration", "2s", "--frequency", 999)
            self.assertGreater(self.check_files(outcome).share(*KnownSplit.TRUTH), 0.9)


class Stacks(t.Case):
    def test_deep_stacks_reach_their_root(self):
        for name, user, options in t.variants():
            with self.subTest(name), t.start_target("deep_stacks", 15, 200, user=user) as target:
                outcome = self.attach(target.pid, "--duration", "2s", "--frequency", 999, *options, user=user)
                folded = self.assert_profile(outcome)
                self.assertLess(folded.truncated_share(), 0.01, folded.summary())
                whole = folded.weight(lambda frames: sum(t.plain(f) == "GoDown" for f in frames) == 201)
                self.assertGreater(whole / folded.total, 0.98, folded.summary(3))

    def test_stacks_larger_than_any_copy_are_whole_or_say_that_they_are_cut(self):
        with t.start_target("deep_stacks", 15, 300, "wide") as target:
            folded = self.assert_profile(self.attach(target.pid, "--duration", "2s", "--frequency", 999))
            for frames, _ in folded.stacks:
                levels = sum(t.plain(frame) == "GoDownWide" for frame in frames)
                cut = any(frame.startswith(("[truncated:", "[approximate")) for frame in frames)
                self.assertLessEqual(levels, 301)
                if not cut and levels:
                    self.assertEqual(levels, 301, ";".join(frames))

    def test_kernel_frames_stand_on_the_user_frames_that_called(self):
        if not t.may_sample_all_cpus():
            self.skipTest("kernel frames want root")
        with t.start_target("kernel_heavy", 15) as target:
            folded = self.assert_profile(self.attach(target.pid, "--duration", "2s", "--frequency", 999))
            in_kernel = folded.weight(lambda frames: frames[-1].endswith("_[k]"))
            joined = folded.weight(lambda frames: frames[-1].endswith("_[k]")
                                   and "read_zeroes" in map(t.plain, frames))
            self.assertGreater(in_kernel / folded.total, 0.6, folded.summary())
            self.assertGreater(joined / in_kernel, 0.95, folded.summary())


class Unharmed(t.Case):
    def test_the_target_does_not_notice(self):
        for name, user, options in t.variants():
            with self.subTest(name), t.start_target("counted_work", 300, user=user) as target:
                process = self.attach(target.pid, "--duration", "30s", "--frequency", 999, *options, user=user)
                self.assertEqual(process.code, 0, process.stderr)
                lines = target.rest_of_output()
                self.assertEqual(target.process.wait(30), 0)
                self.assertEqual(lines[-1], "DONE rounds=300 bytes=600 ticks=300 interrupted=0")

    def test_the_target_is_never_traced_nor_stopped(self):
        with t.start_target("counted_work", 250) as target:
            seen = []

            def look():
                for line in pathlib.Path(f"/proc/{target.pid}/status").read_text(encoding="utf-8").splitlines():
                    if line.startswith(("TracerPid", "State")):
                        seen.append(line.split(":")[1].strip())

            folder = self.new_folder()
            with t.Child(self.command(target.pid, folder, "--duration", "1s", "--frequency", 999)) as whyslow:
                while whyslow.process.poll() is None:
                    look()
                    time.sleep(0.002)
                self.assertEqual(whyslow.process.returncode, 0)
            self.assertGreater(len(seen), 100)
            self.assertEqual(set(seen) - {"0", "R (running)", "S (sleeping)", "D (disk sleep)"}, set())


if __name__ == "__main__":
    t.main()
