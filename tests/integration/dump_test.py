#!/usr/bin/env python3
"""whyslow dump: names, states, stacks, waits and how long they last, who holds the GIL, local variables; of C++ and of
each CPython of this machine. And that nobody is stopped."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import python_interpreters
import whyslow_testing as t
from python_programs import PythonProgram


def nonvoluntary_switches(pid, tid):
    status = pathlib.Path(f"/proc/{pid}/task/{tid}/status").read_text(encoding="utf-8")
    return int(status.rpartition("nonvoluntary_ctxt_switches:")[2].split()[0])


class Dump:
    """The one process in a dump as JSON, and when it was taken."""

    def __init__(self, ended, begun):
        self.stderr = ended.stderr
        self.json = json.loads(ended.stdout)
        self.begun, self.ended = begun, time.monotonic()
        self.process = self.json["processes"][0]
        self.threads = {thread["tid"]: thread for thread in self.process["threads"]}

    def named(self, name):
        found = [thread for thread in self.threads.values() if name in (thread["python_name"], thread["name"])]
        if len(found) != 1:
            raise AssertionError(f"{len(found)} threads are named {name}: {self.summary()}")
        return found[0]

    def summary(self):
        return "\n".join(f"{tid} {thread['name']} {thread['python_name']} {thread['state']} {thread['for_ns']} "
                         f"{(thread['wait'] or {}).get('words')} {names(thread)}" for tid, thread in self.threads.items())


def names(thread):
    return [t.plain(frame["name"]) for frame in thread["frames"]]


def python_frames(thread):
    return [[frame["name"], os.path.basename(frame["file"]), frame["line"]]
            for frame in thread["frames"] if frame["kind"] == "python"]


class DumpCase(t.Case):
    def run_dump(self, pid, *options, user=None):
        return subprocess.run(t.as_user(user, [t.WHYSLOW, "dump", "--pid", str(pid), *map(str, options)]),
                              capture_output=True, text=True, errors="replace", timeout=120)

    def dump(self, pid, *options, user=None):
        begun = time.monotonic()
        ended = self.run_dump(pid, "--json", *options, user=user)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        return Dump(ended, begun)

    # What is told is a bound where interrupts and the hypervisor took time; then it says so.
    def check_duration(self, thread, since, dump):
        self.assertIsNotNone(thread["for_ns"], thread)
        told = thread["for_ns"] / 1e9
        self.assertLessEqual(told, dump.ended - since + 0.05, thread)
        self.assertGreaterEqual(told, 0.7 * (dump.begun - since), thread)
        if not thread["for_at_least"]:
            self.assertGreaterEqual(told, 0.95 * (dump.begun - since) - 0.05, thread)


# ---------------------------------------------------------------------------------------------

class Native(DumpCase):
    def target(self, name, *arguments, user=None):
        target = t.start_target(name, *arguments, user=user)
        self.addCleanup(target.__exit__)
        return target

    # Root first, what of each thread's stack is known.
    PLACES = {"locker": ("mutex", "LockHeld"), "receiver": ("socket", "ReceiveFrom"), "sleeper": ("sleep", "SleepLong"),
              "main": ("join", "main")}

    def test_each_thread_in_its_place_in_every_way_to_sample(self):
        for name, user, options in t.variants():
            with self.subTest(name):
                target = self.target("stuck", 60, user=user)
                since = time.monotonic()
                time.sleep(2)
                self.check_places(target, since, self.dump(target.pid, *options, user=user))

    def check_places(self, target, since, dump):
        words = {line.split()[0]: line.split()[1:] for line in target.lines}
        tids = {name: int(tid) for name, _, tid in (word.partition("=") for word in words["THREADS"])}
        self.assertEqual(set(dump.threads), {target.pid, *tids.values()})
        for name, (kind, function) in self.PLACES.items():
            thread = dump.threads[tids.get(name, target.pid)]
            self.assertEqual(thread["name"], "stuck" if name == "main" else name)
            self.assertEqual(thread["state"], "waiting", dump.summary())
            self.assertEqual(thread["wait"]["kind"], kind, dump.summary())
            self.assertIn(function, names(thread), dump.summary())
            self.check_duration(thread, since, dump)
        self.assertEqual(dump.threads[tids["receiver"]]["wait"]["peer"], words["PEER"][0])
        spinner = dump.threads[tids["spinner"]]
        self.check_spinner(spinner)

    def check_spinner(self, spinner):
        self.assertIn(spinner["state"], ("running", "runnable"))
        self.assertIn("Spin", names(spinner))

    def test_a_busy_thread_is_sampled_and_goes_on(self):
        target = self.target("split_50_30_20", 60)
        time.sleep(0.3)
        used = t.cpu_seconds(target.pid)
        dump = self.dump(target.pid)
        busy = [thread for thread in dump.threads.values() if thread["state"] in ("running", "runnable")]
        self.assertEqual(len(busy), 1, dump.summary())
        self.assertIn("main", names(busy[0]), dump.summary())
        self.assertGreater(t.cpu_seconds(target.pid), used)

    def test_stopped_threads_are_stopped_and_stay_so(self):
        target = self.target("sleeper", 60)
        os.kill(target.pid, signal.SIGSTOP)
        self.addCleanup(os.kill, target.pid, signal.SIGCONT)
        t.wait_until(lambda: pathlib.Path(f"/proc/{target.pid}/stat").read_text("utf-8").split()[2] == "T",
                     what="the target to stop")
        dump = self.dump(target.pid)
        self.assertEqual(dump.threads[target.pid]["state"], "stopped", dump.summary())

    def test_only_the_threads_asked_for(self):
        target = self.target("stuck", 60)
        self.assertEqual(list(self.dump(target.pid, "--threads", target.pid).threads), [target.pid])

    def test_several_processes(self):
        first, second = self.target("sleeper", 60), self.target("sleeper", 60)
        ended = self.run_dump(f"{first.pid},{second.pid}", "--json")
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertEqual([process["pid"] for process in json.loads(ended.stdout)["processes"]],
                         [first.pid, second.pid])

    def test_kernel_frames_when_asked_for(self):
        if not t.may_sample_all_cpus():
            self.skipTest("kernel frames are not permitted here")
        target = self.target("sleeper", 60)
        kinds = [{frame["kind"] for frame in self.dump(target.pid, "--kernel", choice).threads[target.pid]["frames"]}
                 for choice in ("yes", "no")]
        self.assertIn("kernel", kinds[0])
        self.assertNotIn("kernel", kinds[1])

    def test_text_has_what_json_has(self):
        target = self.target("sleeper", 60)
        ended = self.run_dump(target.pid)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertRegex(ended.stdout, rf"\nthread {target.pid} sleeper: waiting for (at least )?[\d.]+ m?s \[wait: ")
        self.assertIn("\n    main (", ended.stdout)


# What containers do to whyslow: a filter lets perf_event_open and bpf fail with EPERM.
WITHOUT_EVENTS = """
import ctypes, os, platform, struct, sys
calls = {"x86_64": (298, 321), "aarch64": (241, 280)}[platform.machine()]
code = [(0x20, 0, 0, 0), (0x15, 1, 0, calls[0]), (0x15, 0, 1, calls[1]), (0x06, 0, 0, 0x50001),
        (0x06, 0, 0, 0x7fff0000)]
program = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *line) for line in code))
libc = ctypes.CDLL(None, use_errno=True)
filter = struct.pack("<HxxxxxxQ", len(code), ctypes.addressof(program))
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.c_char_p(filter), 0, 0):
    sys.exit("no seccomp: " + os.strerror(ctypes.get_errno()))
os.execv(sys.argv[1], sys.argv[1:])
"""


class WithoutEvents(Native):
    """Where the kernel gives no events at all: sleepers as ever, and of those that run that they do."""

    def run_dump(self, pid, *options, user=None):
        command = [sys.executable, "-c", WITHOUT_EVENTS, str(t.WHYSLOW), "dump", "--pid", str(pid), *map(str, options)]
        return subprocess.run(t.as_user(user, command), capture_output=True, text=True, errors="replace", timeout=120)

    def check_spinner(self, spinner):
        self.assertEqual((spinner["state"], spinner["has_stack"]), ("running", False))

    def test_a_busy_thread_is_sampled_and_goes_on(self):
        self.skipTest("nothing samples it")

    def test_kernel_frames_when_asked_for(self):
        self.skipTest("nobody tells them")

    def test_what_is_missing_is_one_line(self):
        target = self.target("sleeper", 60)
        ended = self.run_dump(target.pid)
        self.assertRegex(ended.stderr, r"\Awhyslow: note: stacks of threads that run are missing[^\n]+\n\Z")


class Targets(DumpCase):
    def assert_one_line(self, ended, code):
        self.assertEqual(ended.returncode, code, ended.stderr)
        self.assertEqual(ended.stdout, "")
        self.assertRegex(ended.stderr, r"\Awhyslow: error: [^\n]+\n\Z")

    def test_no_such_process(self):
        gone = subprocess.Popen(["true"])
        gone.wait()
        self.assert_one_line(self.run_dump(gone.pid), 4)

    def test_no_such_thread(self):
        with t.start_target("sleeper", 60) as target:
            self.assert_one_line(self.run_dump(target.pid, "--threads", os.getpid()), 4)

    def test_a_kernel_thread(self):
        self.assert_one_line(self.run_dump(2), 4)

    def test_no_process_is_named(self):
        ended = subprocess.run([t.WHYSLOW, "dump"], capture_output=True, text=True, timeout=60)
        self.assert_one_line(ended, 2)

    def test_another_users_process(self):
        if os.geteuid() != 0:
            self.skipTest("needs root to start one")
        with t.start_target("sleeper", 60) as target:
            self.assert_one_line(self.run_dump(target.pid, user=t.UNPRIVILEGED), 3)

    def test_one_that_ends_meanwhile(self):
        # At whatever moment: there is a dump, or one line that says why not.
        for delay in (0.0, 0.1, 0.3, 0.5, 0.7, 0.9):
            target = t.start_target("sleeper", 60)
            with target:
                threading.Timer(delay, target.process.kill).start()
                ended = self.run_dump(target.pid)
                if ended.returncode != 0:
                    self.assert_one_line(ended, 4)
                else:
                    self.assertIn(f"process {target.pid}", ended.stdout)


# ---------------------------------------------------------------------------------------------

class PythonDumps(DumpCase):
    """PYTHON is the interpreter; a class for each is made below."""

    PYTHON = None

    def program(self, *arguments):
        program = PythonProgram(self.PYTHON, "stuck.py", 120, *arguments)
        self.addCleanup(program.__exit__)
        program.stuck = program.truth()
        program.peer = next(line.split()[1] for line in program.lines if line.startswith("PEER"))
        # They went on a little after they had said where they were.
        time.sleep(1.5)
        return program

    def check_stack(self, dump, name, truth):
        thread = dump.threads[truth["tid"]]
        said = truth["frames"]
        shown = python_frames(thread)
        # main stands in Thread.join, which it had not called yet.
        self.assertEqual(shown[-len(said):], said, dump.summary())
        self.assertTrue(len(shown) == len(said) or name == "MainThread", shown)
        if name != "MainThread":
            self.assertEqual(thread["python_name"], name)
            self.assertEqual(thread["frames"][-1]["kind"], "native", "the native frames that started the thread")
        return thread

    def check_waits(self, program, dump):
        wanted = {"locker": ("mutex", "semaphore", "futex"), "receiver": ("socket",), "sleeper": ("sleep", "poll"),
                  "MainThread": ("mutex", "semaphore", "futex", "join")}
        for name, kinds in wanted.items():
            truth = program.stuck[name]
            thread = self.check_stack(dump, name, truth)
            self.assertEqual(thread["state"], "waiting", dump.summary())
            self.assertIn(thread["wait"]["kind"], kinds)
            self.check_duration(thread, truth["at"], dump)
        self.assertEqual(dump.threads[program.stuck["receiver"]["tid"]]["wait"]["peer"], program.peer)

    def test_the_thread_that_keeps_the_gil_in_a_call_of_c(self):
        program = self.program("hog")
        dump = self.dump(program.pid)
        hog = self.check_stack(dump, "hog", program.stuck["hog"])
        self.assertIn(hog["state"], ("running", "runnable"))
        self.check_waits(program, dump)
        gil, = dump.process["gils"]
        self.assertEqual(gil["holder_tid"], hog["tid"])
        self.assertGreater(gil["looks"], 1)
        self.assertEqual(gil["same"], gil["looks"])
        self.assertEqual([thread["tid"] for thread in dump.threads.values() if thread["holds_gil"]], [hog["tid"]])
        text = self.run_dump(program.pid).stdout
        self.assertRegex(text, rf'GIL: \S+ "hog" \({hog["tid"]}\), in all of \d+ looks\n')
        wanting = dump.named("wanting")
        if wanting["state"] == "waiting":  # else it has woken to look for the lock
            self.assertEqual(wanting["wait"]["kind"], "gil", dump.summary())
            self.assertTrue(wanting["for_at_least"])

    def test_a_spinning_thread_is_sampled_and_nobody_is_stopped(self):
        program = self.program()
        spinner = program.stuck["spinner"]["tid"]
        sleepers = [program.stuck[name]["tid"] for name in ("locker", "receiver", "sleeper", "MainThread")]
        before = [nonvoluntary_switches(program.pid, tid) for tid in sleepers]
        used = t.cpu_seconds(program.pid)
        dump = self.dump(program.pid, "--locals")
        # A debugger would have had to wake them.
        self.assertEqual([nonvoluntary_switches(program.pid, tid) for tid in sleepers], before)
        self.assertGreater(t.cpu_seconds(program.pid), used)
        self.check_waits(program, dump)
        thread = dump.threads[spinner]
        self.assertIn(thread["state"], ("running", "runnable"))
        self.assertEqual(python_frames(thread)[0][0], program.stuck["spinner"]["frames"][0][0], dump.summary())
        self.check_locals(program, dump)

    def check_locals(self, program, dump):
        thread = dump.threads[program.stuck["locker"]["tid"]]
        frame = next(frame for frame in thread["frames"] if frame["name"] == "wait_for_lock")
        found = {local["name"]: local["value"] for local in frame["locals"]}
        self.assertRegex(found.pop("lock"), r"^<_thread\.lock at 0x[0-9a-f]+>$|^<lock at 0x[0-9a-f]+>$")
        self.assertRegex(found.pop("inner"), r"^<function at 0x[0-9a-f]+>$")
        self.assertRegex(found.pop("table"), r"^\{'a': 1, 2: <list at 0x[0-9a-f]+>\}$")
        self.assertRegex(found.pop("deep"), r"^'x{80}'\.\.\.$")
        self.assertEqual(found, {
            "count": "42", "name": '"it\'s"', "ratio": "0.1", "nothing": "None", "yes": "True",
            "big": str(2 ** 70), "negative": "-7", "raw": repr(b"a\0b"), "short": "[1, 'two', 3.0]", "pair": "(1,)",
            "none": "()", "long": "[0, 1, 2, 3, 4, 5, 6, 7, ... 12 more]"})

    def test_without_bpf(self):
        program = self.program("hog")
        dump = self.dump(program.pid, "--bpf", "no")
        for name in ("locker", "receiver", "sleeper", "MainThread"):
            truth = program.stuck[name]
            thread = dump.threads[truth["tid"]]
            self.assertEqual(python_frames(thread)[-len(truth["frames"]):], truth["frames"], dump.summary())
            self.check_duration(thread, truth["at"], dump)
        self.assertEqual(dump.process["gils"][0]["holder_tid"], program.stuck["hog"]["tid"])


class ManyThreads(DumpCase):
    THREADS = 160

    def test_all_of_them(self):
        if not python_interpreters.found():
            self.skipTest("no CPython is here")
        code = ("import os, threading\n"
                "done = threading.Event()\n"
                f"for i in range({self.THREADS}):\n"
                "    threading.Thread(target=done.wait, args=(100,), name=f'worker {i}', daemon=True).start()\n"
                "print('READY', os.getpid(), flush=True)\n"
                "done.wait(100)\n")
        with t.Child([python_interpreters.found()[-1].path, "-c", code]) as target:
            target.wait_for_line("READY")
            time.sleep(1)
            dump = self.dump(target.pid, "--locals")
            self.assertEqual(len(dump.threads), self.THREADS + 1)
            names_seen = {thread["python_name"] for thread in dump.threads.values()}
            self.assertLessEqual({f"worker {i}" for i in range(self.THREADS)}, names_seen)
            whole = [thread for thread in dump.threads.values()
                     if thread["state"] == "waiting" and "wait" in [frame[0].rpartition(".")[2]
                                                                   for frame in python_frames(thread)]]
            self.assertEqual(len(whole), self.THREADS + 1, dump.summary()[:4000])
            print(f"{self.THREADS} threads: {dump.ended - dump.begun:.2f} s", flush=True)


for python in python_interpreters.found():
    if not python.free_threaded:
        name = f"Dump{python.test_name}"
        globals()[name] = type(name, (PythonDumps,), {"PYTHON": python})
del PythonDumps

if __name__ == "__main__":
    python_interpreters.say()
    sys.exit(t.main())
