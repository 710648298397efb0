"""What the benchmarks share: programs under test, profilers that attach to them, reading CPU time."""

import dataclasses
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ATTACH_SECONDS = 0.8  # what a profiler gets to be in place before work begins


def say(text):
    print(text, file=sys.stderr, flush=True)


def schedstat_seconds(pid):
    """CPU time of all living threads, to the nanosecond (/proc/PID/stat counts in steps of 10 ms)."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def resident_bytes(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Program:
    """A target or load; `with` ends it by its pid."""

    def __init__(self, *command):
        self.process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stdin=subprocess.PIPE,
                                        text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait()
        self.process.stdout.close()
        self.process.stdin.close()

    def words(self, start):
        for line in self.process.stdout:
            if line.startswith(start):
                return line.split()
        raise RuntimeError(f"{self.process.args} ended before it said {start}")

    def begin(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()


@dataclasses.dataclass
class Finished:
    """A profiler that has ended."""
    cpu_seconds: float     # its own, with what it started
    finish_seconds: float  # from the signal to its end
    most_resident: int     # bytes
    stderr: str


class Profiler:
    """A process that profiles until it gets SIGINT. Its files lie in `folder` and go with it."""

    def __init__(self, command_for, pid, settle_seconds=30):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="whyslow-bench-"))
        self.log = open(self.folder / "stderr", "w+", encoding="utf-8", errors="replace")
        command = list(map(str, command_for(pid, self.folder)))
        # A group of its own, for perf's signals reach its child too; not a session, which the kernel's autogroups
        # would give a share of the CPUs of its own.
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=self.log, stdin=subprocess.DEVNULL,
                                        process_group=0)
        time.sleep(ATTACH_SECONDS)
        self.settle(settle_seconds)
        if self.process.poll() is not None:
            raise RuntimeError(f"{' '.join(command)} ended at once: {self.read_log()}")

    def settle(self, most):
        """Setting up, as the kernel's verification of BPF programs, takes CPU time, and on a busy machine its while."""
        step = 0.1
        end = time.monotonic() + most
        used = None
        while self.process.poll() is None and time.monotonic() < end:
            before, used = used, schedstat_seconds(self.process.pid)
            if before is not None and used - before < 0.02 * step:
                return
            time.sleep(step)

    def read_log(self):
        self.log.seek(0)
        return self.log.read()

    def finish(self):
        begin = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        _, status, usage = os.wait4(self.process.pid, 0)
        seconds = time.monotonic() - begin
        self.process.returncode = os.waitstatus_to_exitcode(status)
        return Finished(usage.ru_utime + usage.ru_stime, seconds, usage.ru_maxrss * 1024, self.read_log())

    def discard(self):
        if self.process.returncode is None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.discard()


class Bench:
    """Where the programs are, and how long to measure."""

    def __init__(self, build, quick, pairs=None, conditions=()):
        self.build = pathlib.Path(build)
        self.quick = quick
        self.pairs = pairs            # of runs with and without a profiler; None: as many as each benchmark likes
        self.conditions = conditions  # the only ones to measure, where a benchmark lets one choose; empty: all
        self.whyslow = pathlib.Path(os.environ.get("WHYSLOW", self.build / "cli" / "whyslow"))

    def chosen(self, conditions):
        """Without those that were not asked for; runs without a profiler always stay."""
        return {name: command for name, command in conditions.items()
                if command is None or not self.conditions or name in self.conditions}

    def program(self, name):
        for folder in ("benchmarks", "examples", "tests"):
            if (self.build / folder / name).exists():
                return self.build / folder / name
        raise RuntimeError(f"{name} is not built in {self.build}")

    # Each returns a function (pid, folder) -> command line.

    def by_whyslow(self, frequency, outputs=(".pb.gz",), *options, mode="cpu"):
        def command(pid, folder):
            files = [part for end in outputs for part in ("--output", folder / f"p{end}")]
            return [self.whyslow, "attach", "--pid", pid, "--frequency", frequency, "--mode", mode, *options,
                    *files]
        return command

    @staticmethod
    def by_perf_dwarf(frequency):
        return lambda pid, folder: ["perf", "record", "-q", "-e", "cpu-clock", "-F", frequency, "--call-graph",
                                    "dwarf,16384", "-p", pid, "-o", folder / "perf.data"]

    @staticmethod
    def by_perf_task(frequency):
        return lambda pid, folder: ["perf", "record", "-q", "-e", "cpu-clock", "-F", frequency, "-p", pid, "-o",
                                    folder / "perf.data"]

    @staticmethod
    def by_perf_switches():
        return lambda pid, folder: ["perf", "record", "-e", "sched:sched_switch", "--call-graph", "dwarf", "-p", pid,
                                    "-o", folder / "perf.data"]

    @staticmethod
    def by_perf_all(frequency):
        return lambda pid, folder: ["perf", "record", "-q", "-a", "-e", "cpu-clock", "-F", frequency, "-o",
                                    folder / "perf.data"]

    def server(self, seconds):
        """The C++ example server, ready: (program, pid, port)."""
        program = Program(self.program("example_native_server"), "--seconds", seconds)
        _, pid, port = program.words("READY")
        return program, int(pid), int(port)

    def ask(self, port, *plan):
        """Runs the load generator to its end; what it measured, as a dictionary."""
        import json
        ended = subprocess.run([self.program("example_native_load"), "--port", str(port), *map(str, plan)],
                               capture_output=True, text=True, check=True, timeout=400)
        return json.loads(ended.stdout)


def fold_perf_data(folder):
    """perf's way to the same result: perf script, then folded stacks. Returns (CPU seconds of perf script, lines)."""
    begin = os.times()
    with subprocess.Popen(["perf", "script", "--no-inline", "-i", folder / "perf.data", "-F", "comm,pid,tid,ip,sym"],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace") as script:
        counts = {}
        comm, frames = None, []
        for line in script.stdout:
            text = line.strip()
            if not text:
                if comm is not None:
                    key = ";".join([comm, *reversed(frames)])
                    counts[key] = counts.get(key, 0) + 1
                comm, frames = None, []
            elif comm is None:
                comm = re.split(r"\s+\d+/\d+", text)[0]
            else:
                frames.append(text.partition(" ")[2])
    (folder / "p.folded").write_text("".join(f"{key} {count}\n" for key, count in sorted(counts.items())))
    end = os.times()
    return end.children_user + end.children_system - begin.children_user - begin.children_system, len(counts)


def pprof_reader(path):
    """The tests' reader of our files."""
    folder = str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "integration")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    import pprof_file
    return pprof_file.PprofFile(path)


def lost_count(profile):
    """What the profile says of itself in its comments; None when it does not say."""
    for comment in profile.comments():
        found = re.search(r"\blost: (\d+)", comment)
        if found:
            return int(found[1])
    return None
