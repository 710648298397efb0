"""How cost grows with the length of a profile: one recording, repeated to ever more samples, and replayed."""

import os
import pathlib
import re
import subprocess
import tempfile
import time

import measuring
import stats

FREQUENCY = 4999
PAGE = os.sysconf("SC_PAGE_SIZE")
SIZES = (10_000, 100_000, 1_000_000, 10_000_000)


def record(bench, folder):
    """Raw events of the example server under load, with its distinct stacks."""
    path = pathlib.Path(folder) / "raw.events"
    program, pid, port = bench.server(30)
    with program, measuring.Program(bench.program("example_native_load"), "--port", port, "--seconds", 10):
        subprocess.run([str(bench.whyslow), "attach", "--pid", str(pid), "--mode", "cpu", "--frequency", str(FREQUENCY),
                        "--duration", "4s", "--record", str(path), "--output", f"{folder}/first.pb.gz", "--quiet"], check=True)
    return path


def most_memory(pid):
    """The most memory that the process had until now, bytes. (What wait4 tells includes the memory of the process
    that it was forked from.)"""
    return int(re.search(r"VmHWM:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) * 1024


class Replay:
    """`whyslow replay` of a recording that is made longer while it is read."""

    def __init__(self, bench, recording, samples, folder):
        begin = time.monotonic()
        result = pathlib.Path(folder) / "again.pb.gz"
        with subprocess.Popen([str(bench.program("repeat_recording")), str(recording), str(samples)],
                              stdout=subprocess.PIPE) as source:
            process = subprocess.Popen([str(bench.whyslow), "replay", "/dev/stdin", "--output", "-", "--format", "pprof",
                                        "--quiet"], stdin=source.stdout, stdout=subprocess.PIPE, pipesize=PAGE)
            source.stdout.close()
            # The profile is larger than the pipe: who has begun to write it waits, and has done everything else.
            first = process.stdout.read(1)
            self.memory = most_memory(process.pid) if first else 0
            result.write_bytes(first + process.stdout.read())
            process.stdout.close()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0 or source.returncode != 0:
            raise RuntimeError(f"replay of {samples} samples: exit codes {source.returncode}, {process.returncode}")
        self.seconds = time.monotonic() - begin
        self.cpu = usage.ru_utime + usage.ru_stime
        profile = measuring.pprof_reader(result)
        self.taken = profile.total("cpu_samples")
        self.rows = len(profile.raw.sample)
        if result.stat().st_size < 2 * PAGE or self.taken != samples:
            raise RuntimeError(f"{samples} samples were replayed, and {self.taken} arrived")


def replay(bench):
    """Replaying 10 thousand to 10 million samples of the same stacks: CPU time a sample, and memory."""
    sizes = SIZES[:-1] if bench.quick else SIZES
    rows, data = [], {}
    with tempfile.TemporaryDirectory(prefix="whyslow-bench-") as folder:
        recording = record(bench, folder)
        for samples in sizes:
            rounds = 1 if samples >= 1_000_000 else 3
            runs = [Replay(bench, recording, samples, folder) for _ in range(rounds)]
            measuring.say(f"  {samples:,} samples: {runs[-1].seconds:.1f} s")
            data[samples] = [vars(run) for run in runs]
            figures = [stats.median_with_interval([1e6 * run.cpu / samples for run in runs]).text(" µs"),
                       stats.median_with_interval([run.memory / 1e6 for run in runs]).text(" MB", 1),
                       stats.median_with_interval([run.seconds for run in runs]).text(" s", 1), str(runs[-1].rows)]
            rows.append([f"{samples:,} samples", *figures])
    return rows, ["replayed", "CPU a sample", "most memory", "in all", "rows in the profile"], data
