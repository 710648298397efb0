#!/usr/bin/env python3
"""Stacks of CPython, on each interpreter of this machine: native and Python frames in the order of their calls, true
at the moment of each sample and each wait, with threads' names and waits for the GIL."""

import pathlib
import re
import sys

import python_interpreters
import python_stacks
import whyslow_testing as t
from python_programs import LegalProgram, PythonProgram
from python_stacks import judge
from wait_rows import Recorder, WaitCase

LOOP = "_PyEval_EvalFrameDefault"


def follow(names, *wanted):
    """These stand side by side in this order."""
    return wanted[0] in names and any(tuple(names[at:at + len(wanted)]) == wanted for at in range(len(names)))


class PythonCase(WaitCase):
    """PYTHON is the interpreter; a class for each is made below."""

    PYTHON = None

    def program(self, name, *arguments):
        return self.kept(PythonProgram(self.PYTHON, name, *arguments))

    def kept(self, program):
        self.addCleanup(program.__exit__)
        return program

    def stacks_of(self, path):
        stacks = python_stacks.from_pprof(path)
        # The eval loop is never shown beside the frames that it runs.
        shown = stacks.where(lambda stack: stack.python and any(frame.name.startswith(LOOP) for frame in stack.frames))
        self.assertEqual(shown, [], shown.text(3))
        return stacks

    def record(self, *programs):
        """One profile of them all, and each one's truth."""
        recorder = Recorder(self, ",".join(str(program.pid) for program in programs), "--frequency", 1000)
        for program in programs:
            program.begin()
        truths = [program.truth() for program in programs]
        return self.read(recorder.finish()), *truths


# ---------------------------------------------------------------------------------------------

class LegalPairs(PythonCase):
    SECONDS = 1.0
    # At 100 Hz nearly all stacks are those of waits; the rates after it add those on CPUs.
    FREQUENCIES = (100, 1000, 5000)

    def test_every_stack_is_possible_and_whole(self):
        with LegalProgram(self.PYTHON) as program:
            for frequency in self.FREQUENCIES:
                outcome = self.attach(program.pid, "--duration", f"{self.SECONDS}s", "--frequency", frequency,
                                      *self.OPTIONS, mode="wall", outputs=(".pb.gz",))
                self.assertEqual(outcome.code, 0, outcome.stderr)
                with self.subTest(f"{frequency} Hz"):
                    self.check(program.legal, self.stacks_of(outcome.pprof), frequency)

    def check(self, legal, stacks, frequency):
        found = judge(stacks, legal)
        print(f"{self.PYTHON}, {frequency} Hz: {found.text()}", flush=True)
        self.assertEqual(found.impossible, 0, found.text())
        # So that nothing is right only because nothing was seen.
        self.assertGreater(found.stacks, 1000, found.text())
        self.assertLess(found.without_python, 0.1 * found.stacks, stacks.where(
            lambda stack: stack.frames and not stack.python).text())
        # Up to 3.10 each Python frame has native ones, and a few hundred are more than what is copied of a stack.
        most_cut = 0.05 if self.PYTHON.version >= (3, 11) else 0.25
        self.assertLess(found.cut, most_cut * found.stacks, stacks.where(lambda stack: stack.cut).text(4))
        self.assertGreater(found.deepest, 200)
        seen = {name for stack in stacks for name in stack.names}
        for root in ("walk_hops", "dive", "walk_generators", "walk_callbacks", "walk_objects", "walk_flow", "short_root",
                     "ask", "answer", "ping", "pong"):
            self.assertIn(root, seen)
        self.check_callbacks(legal, stacks)
        self.check_thread_names(stacks)

    def check_thread_names(self, stacks):
        for name in ("walk_hops", "dive", "ask", "pong"):
            rows = stacks.with_function(name)
            named = rows.where(lambda stack: "python_thread" in stack.labels)
            self.assertEqual({stack.labels["python_thread"] for stack in named}, {name})
            self.assertGreater(named.weight, 0.9 * rows.weight)  # the rest came before the name was read

    def check_callbacks(self, legal, stacks):
        """sorted() stands between the function that calls it and the key function that it calls."""
        through = stacks.where(lambda stack: any(follow(stack.names, *pair) for pair in legal.through_c))
        self.assertGreater(len(through), 0)
        if not self.has_symbols():
            legal.through_c = {pair: [""] for pair in legal.through_c}  # any native frame
        wrong = through.where(lambda stack: legal.misplaced(stack.frames))
        self.assertEqual(wrong, [], wrong.text(3))

    def has_symbols(self):
        path = pathlib.Path(self.PYTHON.path).resolve()
        for file in (path, *path.parent.parent.glob("lib/libpython3.*.so.*")):
            if b"\0list_sort" in file.read_bytes():
                return True
        return False


# ---------------------------------------------------------------------------------------------

class KnownShares(PythonCase):
    def test_cpu_shares_and_sleeps_are_those_of_the_program(self):
        profile, truth = self.record(self.program("known_shares.py"))
        stacks = self.stacks_of(profile.outcome.pprof)
        with self.subTest("shares"):
            self.check_shares(stacks, truth)
        with self.subTest("sleeps"):
            self.check_sleeps(stacks, truth)
        with self.subTest("threads"):
            self.check_threads(stacks, truth)
        with self.subTest("folded"):
            self.check_folded(profile.outcome.folded(), r"{} \(directed\.py\)")

    def check_shares(self, stacks, truth):
        true = {}
        for thread in truth.values():
            for name, seconds in thread["cpu"].items():
                true[name] = true.get(name, 0) + seconds
        mine = {name: stacks.on_cpu().with_function(name).cpu / 1e9 for name in true}
        for name, seconds in true.items():
            self.assertAlmostEqual(mine[name] / sum(mine.values()), seconds / sum(true.values()), delta=0.07, msg=mine)
        self.assertAlmostEqual(sum(mine.values()), sum(true.values()), delta=0.1 * sum(true.values()), msg=mine)

    # The stops of all five have one native stack; only their Python frames tell them apart. Up to 3.10 time.sleep is a
    # select() without descriptors that begins when the GIL was given away. From 3.11 on it ends at a moment that is set
    # before: giving the GIL away is a part of its time, and may be all of it.
    def check_sleeps(self, stacks, truth):
        to_the_moment = self.PYTHON.version >= (3, 11)
        for name in ("sleep_long", "sleep_middle", "sleep_short", "first_caller", "second_caller"):
            accounts = [thread["slept"][name] for thread in truth.values()]
            count, least, most = (sum(row[key] for row in accounts) for key in ("count", "least", "most"))
            rows = stacks.with_function(name)
            sleeps = rows.of_kind("sleep")
            if to_the_moment:
                self.assertLessEqual(sleeps.weight, count, name + sleeps.text())
                self.assertGreaterEqual(sleeps.weight, 0.8 * count, name + sleeps.text())
            else:
                self.assertEqual(sleeps.weight, count, name + sleeps.text())
                self.assertGreaterEqual(sleeps.wait / 1e9, least, name + sleeps.text())
            self.assertLessEqual(sleeps.wait / 1e9, most, name + sleeps.text())
            # With its waits for the GIL and for a CPU it is what the program measured.
            preempted = sum(stack.wait for stack in stacks if stack.kind in ("preempted", "throttled", "stolen")) / 1e9
            whole = (rows.wait + rows.cpu) / 1e9
            self.assertLessEqual(whole, 1.05 * most, name + rows.text())
            self.assertGreaterEqual(whole + preempted, 0.95 * most, name + rows.text())
        callers = stacks.with_function("shared_sleep")
        neither = callers.where(lambda stack: stack.has("first_caller") == stack.has("second_caller"))
        self.assertEqual(neither, [], neither.text())

    def check_threads(self, stacks, truth):
        for name, thread in truth.items():
            rows = stacks.with_function("work").where(lambda stack, tid=thread["tid"]: stack.labels["tid"] == tid)
            named = rows.where(lambda stack: "python_thread" in stack.labels)
            self.assertEqual({stack.labels["python_thread"] for stack in named}, {name})
            # The rest came before the name was read.
            self.assertGreater(named.wait + named.cpu, 0.7 * (rows.wait + rows.cpu), rows.text())

    def test_without_python_frames_when_they_are_not_wanted(self):
        program = self.program("known_shares.py", 5)
        recorder = Recorder(self, program.pid, "--python", "no")
        program.play()
        stacks = python_stacks.from_pprof(self.read(recorder.finish()).pprof)
        self.assertEqual(stacks.where(lambda stack: stack.python), [])
        loops = stacks.where(lambda stack: any(frame.name.startswith(LOOP) for frame in stack.frames))
        self.assertGreater(loops.cpu, 0.5 * stacks.cpu, stacks.text())

    def test_folded_frames_say_lines_when_they_are_wanted(self):
        program = self.program("known_shares.py", 5)
        recorder = Recorder(self, program.pid, "--lines", "yes")
        program.play()
        self.check_folded(self.read(recorder.finish()).outcome.folded(), r"{} \(directed\.py:\d+\)")

    def check_folded(self, folded, pattern):
        call = "run_threads.<locals>.call" if self.PYTHON.version >= (3, 11) else "call"
        for name in ("burn", call):
            wanted = re.compile(pattern.format(re.escape(name)))
            share = folded.weight(lambda frames, wanted=wanted: any(map(wanted.fullmatch, frames)))
            self.assertGreater(share, 0.5 * folded.total, folded.summary(3))


# ---------------------------------------------------------------------------------------------

class Situations(PythonCase):
    """Programs that do not disturb one another much, in one profile."""

    def test_what_several_programs_do(self):
        others = [python for python in python_interpreters.found() if python.version[:2] != self.PYTHON.version[:2]]
        other = others[:1] if self.PYTHON != python_interpreters.found()[0] else others[-1:]
        programs = [self.program("gil_fight.py"), self.program("async_chain.py"),
                    self.program("moments.py", *(python.path for python in other))]
        profile, gil, chain, moments = self.record(*programs)
        stacks = self.stacks_of(profile.outcome.pprof)
        of = [stacks.where(lambda stack, pid=program.pid: stack.labels["pid"] == pid) for program in programs]
        for name, check in (("waits for the GIL", lambda: self.check_gil(of[0], gil)),
                            ("coroutines", lambda: self.check_chain(of[1], chain)),
                            ("threads of a moment", lambda: self.check_short_threads(of[2], moments)),
                            ("forks", lambda: self.check_processes(stacks, moments)),
                            ("another version", lambda: self.check_other(stacks, moments))):
            with self.subTest(name):
                check()

    def check_gil(self, stacks, truth):
        """What a pause took too long is waits for the GIL, one for each pause however many slices it had."""
        wanting = {row["tid"]: row for name, row in truth.items() if name.startswith("wanting")}
        holder = truth["holder"]["tid"]
        rows = stacks.with_function("want_gil")
        gil = rows.of_kind("gil")
        without = sum(row["without"] for row in wanting.values())
        self.assertLessEqual(gil.wait / 1e9, 1.01 * without, gil.text())
        # Where all CPUs are busy, between two slices it waits for one of them.
        queued = rows.of_kind("runqueue")
        self.assertGreater((gil.wait + queued.wait) / 1e9, 0.7 * without, rows.text())
        self.assertGreater(gil.wait / 1e9, 0.3 * without, rows.text())
        others = rows.of_kind("condition", "futex", "mutex", "semaphore")
        self.assertLess(others.wait, 0.05 * gil.wait, others.text())
        # The holder lets go of it, and of those who want it the first one passes it on.
        by_holder = gil.where(lambda stack: stack.labels.get("waker_tid") == holder)
        self.assertGreater(by_holder.wait, 0.35 * gil.wait, gil.text())
        # Nobody wakes the one whose slice happens to end when the GIL is free.
        named = gil.where(lambda stack: stack.labels.get("waker_tid") in {holder, *wanting})
        self.assertGreater(named.wait, 0.7 * gil.wait, gil.text())
        own = {None, *(stack.labels.get("tid") for stack in stacks)}
        strangers = gil.where(lambda stack: stack.labels.get("waker_tid") not in own)
        self.assertEqual(strangers, [], strangers.text())
        # In its one C function the holder is on the CPU, and does not wait for what it has.
        self.assertAlmostEqual(stacks.with_function("hold_gil").on_cpu().cpu / 1e9, truth["holder"]["cpu"],
                               delta=0.1 * truth["holder"]["cpu"] + 0.02)
        self.assertLessEqual(gil.weight, 1.1 * sum(row["pauses"] for row in wanting.values()), gil.text())

    def check_chain(self, stacks, truth):
        first, second = stacks.on_cpu().with_function("first_work"), stacks.on_cpu().with_function("second_work")
        self.assertAlmostEqual((first.cpu + second.cpu) / 1e9, truth["cpu"], delta=0.25 * truth["cpu"])
        wrong = first.where(lambda stack: not follow(
            stack.names, "first_outer", "first_middle", "first_inner", "first_work"))
        self.assertEqual(wrong, [], wrong.text())
        wrong = second.where(lambda stack: not follow(stack.names, "second_middle", "second_stream", "second_work"))
        self.assertEqual(wrong, [], wrong.text())
        both = stacks.where(lambda stack: any(name.startswith("first_") for name in stack.names)
                            and any(name.startswith("second_") for name in stack.names))
        self.assertEqual(both, [], both.text())

    def check_short_threads(self, stacks, truth):
        rows = stacks.with_function("short_work")
        # They may be gone before their names are read; but names are not mixed up.
        named = {stack.labels["tid"]: stack.labels["python_thread"] for stack in rows if "python_thread" in stack.labels}
        self.assertLessEqual(set(named.values()), {f"short {number}" for number in range(truth["times"])}, rows.text())
        self.assertEqual(len(set(named.values())), len(named), rows.text())
        self.assertEqual(len({stack.labels["tid"] for stack in rows}), truth["times"], rows.text())
        cpu = truth["times"] * truth["cpu"]
        self.assertAlmostEqual(rows.on_cpu().cpu / 1e9, cpu, delta=0.3 * cpu, msg=rows.text())
        self.check_pause(rows.with_function("short_pause"), truth, truth["times"])

    def check_processes(self, stacks, truth):
        for kind, function in (("forked", "fork"), ("multiprocessing fork", "spawned"),
                               ("multiprocessing spawn", "spawned")):
            for pid in truth[kind]:
                rows = stacks.where(lambda stack, pid=pid: stack.labels["pid"] == pid)
                self.assertGreater(rows.weight, 0, kind)
                self.assertGreater(len(rows.with_function(f"{function}_work")), 0, kind + rows.text())
                self.check_pause(rows.with_function(f"{function}_pause").with_function(f"{function}_work"), truth, 1)
                burnt = rows.with_function(f"{function}_work").on_cpu().cpu / 1e9
                self.assertAlmostEqual(burnt, truth["cpu"], delta=0.4 * truth["cpu"], msg=kind + rows.text())

    def check_other(self, stacks, truth):
        if not truth["other"]:
            self.skipTest("there is only one interpreter")
        for pid in truth["other"]:
            rows = stacks.where(lambda stack, pid=pid: stack.labels["pid"] == pid)
            inner = rows.with_function("in_other_inner")
            wrong = inner.where(lambda stack: not follow(stack.names, "<module>", "in_other", "in_other_inner"))
            self.assertEqual(wrong, [], wrong.text())
            self.assertEqual({frame.file for stack in inner for frame in stack.python if frame.plain == "in_other"},
                             {"<string>"}, rows.text())
            self.check_pause(inner, truth, 1)

    def check_pause(self, rows, truth, count):
        # time.sleep: see check_sleeps. Only one thread runs here, so that nothing delays it.
        sleeps = rows.of_kind("sleep")
        self.assertEqual(sleeps.weight, count, rows.text())
        self.assertGreaterEqual(sleeps.wait / 1e9, 0.95 * count * truth["pause"], rows.text())


# ---------------------------------------------------------------------------------------------

def make_cases():
    """One class for each kind of test and interpreter, so that one of them can be run alone."""
    for python in python_interpreters.found():
        for base in (LegalPairs, KnownShares, Situations):
            name = f"{base.__name__}{python.test_name}"
            globals()[name] = type(name, (base,), {"PYTHON": python, "__module__": __name__})
    for base in (LegalPairs, KnownShares, Situations):
        del globals()[base.__name__]


def refusal():
    if "--python" not in t.help_of("attach"):
        return "this build has no --python"
    if not python_interpreters.found():
        return "there is no CPython from 3.8 on (WHYSLOW_PYTHONS)"
    return None


make_cases()

if __name__ == "__main__":
    if refusal():
        print(f"SKIPPED: {refusal()}")
        sys.exit(t.SKIPPED)
    python_interpreters.say()
    t.main()
