"""What is read of a CPython from outside equals what it says itself: functions, files, lines, names of threads.

Runs for every interpreter that is found: ~/.pyenv/versions/*/bin/python3, /usr/bin/python3*, and those that
WHYSLOW_TEST_PYTHONS names (a list as in PATH); for two of them in a virtual environment too.
"""

import glob
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("WHYSLOW_BUILD", ROOT / "build" / "dev")).resolve()
READER = BUILD / "tests" / "python_threads"
CORPUS = ROOT / "tests" / "programs" / "python" / "line_corpus.py"

MOST_FRAMES = 1024
FIRST_READABLE = (3, 8)


def version_of(python):
    try:
        ended = subprocess.run([python, "-c", "import sys; print('%d %d %d' % sys.version_info[:3])"],
                               capture_output=True, text=True, timeout=60)
    except OSError:
        return None
    return tuple(map(int, ended.stdout.split())) if ended.returncode == 0 else None


def find_interpreters():
    """{path: version}, each real file once."""
    paths = glob.glob(os.path.expanduser("~/.pyenv/versions/*/bin/python")) + glob.glob("/usr/bin/python3*")
    paths += [p for p in os.environ.get("WHYSLOW_TEST_PYTHONS", "").split(":") if p]
    found, seen = {}, set()
    for path in paths:
        real = os.path.realpath(path)
        if real in seen or not re.search(r"python[0-9.]*$|py[0-9.]+$", real):
            continue
        seen.add(real)
        if version := version_of(path):
            found[path] = version
    return dict(sorted(found.items(), key=lambda row: (row[1], row[0])))


class Corpus:
    """The corpus in one interpreter, every case in its sleep."""

    def __init__(self, python):
        self.process = subprocess.Popen([python, CORPUS], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        self.threads = {}
        expected = None
        while expected is None or len(self.threads) < expected:
            line = self.process.stdout.readline()
            if not line:
                raise AssertionError(f"{python} ended with {self.process.wait()}")
            row = json.loads(line)
            if "expected" in row:
                expected = row["expected"]
            else:
                self.threads[row["thread"]] = row

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def read_from_outside(pid):
    """(first line, {thread: (name, [[qualified name, file, line, is entry]])}), or the error line."""
    ended = subprocess.run([READER, str(pid)], capture_output=True, text=True, timeout=120)
    if ended.returncode != 0:
        return ended.stderr.strip(), {}
    lines = ended.stdout.splitlines()
    threads, frames = {}, []
    for line in lines[1:]:
        if line.startswith("thread "):
            _, tid, name = line.split(" ", 2)
            frames = []
            threads[int(tid)] = (None if name == "-" else json.loads(name), frames)
        else:
            name, file, number, entry = line.split("\t")
            frames.append([json.loads(name), json.loads(file), int(number), entry == "entry"])
    return lines[0], threads


def as_told(row):
    # A thread's name is read from its outermost frame.
    name = row["name"] if len(row["frames"]) < MOST_FRAMES else None
    return name, row["frames"][:MOST_FRAMES]


class PythonLines(unittest.TestCase):
    def check(self, python, version):
        with Corpus(python) as corpus:
            # The last ones may still be on their way from the telling into the sleep.
            for _ in range(20):
                head, seen = read_from_outside(corpus.process.pid)
                without_entry = {tid: (name, [f[:3] for f in frames]) for tid, (name, frames) in seen.items()}
                if all(without_entry.get(tid) == as_told(row) for tid, row in corpus.threads.items()):
                    break
                time.sleep(0.2)
            self.assertEqual(head, f"Python {'.'.join(map(str, version))}, ready")
            for tid, row in corpus.threads.items():
                with self.subTest(python=str(python), thread=row["name"]):
                    self.assertIn(tid, without_entry)
                    self.assertEqual(without_entry[tid], as_told(row))
            self.assertEqual(set(seen), set(corpus.threads))
            for tid, (name, frames) in seen.items():
                self.check_entries(version, name, frames, f"{python}, thread {name}")
        print(f"{python} {'.'.join(map(str, version))}: {len(corpus.threads)} stacks, "
              f"{sum(len(row['frames'][:MOST_FRAMES]) for row in corpus.threads.values())} frames, "
              f"{len({tuple(f) for row in corpus.threads.values() for f in row['frames']})} places")

    def check_entries(self, version, name, frames, where):
        entries = [f[3] for f in frames]
        if version < (3, 11):
            self.assertTrue(all(entries), where)
            return
        if len(frames) < MOST_FRAMES:
            self.assertTrue(entries[-1], f"the outermost frame was entered by C: {where}")
        called = {f[0].rsplit(".", 1)[-1]: f[3] for f in frames}
        if name == "case plain":  # Python calls Python
            self.assertFalse(called["here"], where)
        if name == "case called_by_c":
            self.assertTrue(called["<lambda>"], where)
        if name == "case mutual_recursion_through_c":
            odd = [f[3] for f in frames if f[0].endswith(".odd")]
            self.assertEqual(odd, [True] * 10, where)

    def test_every_interpreter(self):
        tested = [(p, v) for p, v in INTERPRETERS.items() if v >= FIRST_READABLE]
        self.assertTrue(tested, "there is no CPython 3.8 or newer")
        for python, version in tested:
            with self.subTest(python=python):
                self.check(python, version)

    def test_virtual_environments(self):
        tested = 0
        for python, version in reversed(INTERPRETERS.items()):
            with tempfile.TemporaryDirectory() as folder:
                made = subprocess.run([python, "-m", "venv", "--without-pip", folder], capture_output=True)
                inside = os.path.join(folder, "bin", "python")
                if version < FIRST_READABLE or made.returncode != 0 or version_of(inside) != version:
                    continue
                with self.subTest(python=python):
                    self.check(inside, version)
                tested += 1
            if tested == 2:
                break
        self.assertGreater(tested, 0)

    def test_older_ones_are_named(self):
        for python, version in INTERPRETERS.items():
            if version >= FIRST_READABLE:
                continue
            with self.subTest(python=python):
                process = subprocess.Popen([python, "-c", "import sys, time; sys.stdout.write('x\\n'); "
                                            "sys.stdout.flush(); time.sleep(100)"], stdout=subprocess.PIPE)
                try:
                    process.stdout.readline()
                    said, threads = read_from_outside(process.pid)
                finally:
                    process.kill()
                    process.wait()
                    process.stdout.close()
                self.assertFalse(threads)
                self.assertEqual(said, f"Python {'.'.join(map(str, version))} of process {process.pid}: this "
                                       "version's memory layout is unknown: native frames only")


def refusal():
    """Why no process may be read here, or None."""
    if not READER.exists():
        return f"{READER} is not built"
    scope = pathlib.Path("/proc/sys/kernel/yama/ptrace_scope")
    if os.geteuid() != 0 and scope.exists() and scope.read_text().strip() != "0":
        return f"{scope} forbids reading other processes"
    return None


if __name__ == "__main__":
    if reason := refusal():
        print(f"SKIPPED: {reason}")
        sys.exit(77)
    INTERPRETERS = find_interpreters()
    print("interpreters: " + ", ".join(f"{p} ({'.'.join(map(str, v))})" for p, v in INTERPRETERS.items()))
    unittest.main(verbosity=2)
