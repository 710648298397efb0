"""What profilers for CPython cost a server and a program of many threads, and whether their stacks are possible."""

import csv
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import measuring
import overhead
import python_profilers
import stats

TARGETS = pathlib.Path(__file__).resolve().parent.parent / "tests" / "integration" / "python_targets"
SETTLE_SECONDS = 2  # those that look at idle threads too never come to rest
CLIENTS = 4
# Milliseconds of CPU time and of sleep in a request.
SHOP = {"SHOP_CPU_MS": "1.5", "SHOP_SLEEP_MS": "4"}


def pairs_of(bench):
    return bench.pairs or (4 if bench.quick else 30)


# ---------------------------------------------------------------------------------------------
# A server.

class Gunicorn:
    """gunicorn with one worker of four threads, so that the GIL is what is short; `pid` is the master's."""

    def __init__(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = ["gunicorn", "-k", "gthread", "-w", "1", "--threads", "4", "-b", f"127.0.0.1:{self.port}",
                   "--log-level", "error", "shop_wsgi:app"]
        self.process = subprocess.Popen(command, cwd=TARGETS, env={**os.environ, **SHOP, "PYTHONDONTWRITEBYTECODE": "1"},
                                        stdout=subprocess.DEVNULL)
        self.pid = self.process.pid

    def __enter__(self):
        end = time.monotonic() + 30
        while True:
            try:
                return self.account() and self
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    self.__exit__()
                    raise
                time.sleep(0.1)

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def account(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/account", timeout=30) as answer:
            return json.load(answer)

    def cpu_seconds(self):
        children = pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return sum(map(measuring.schedstat_seconds, [self.pid, *children]))

    def ask(self, requests, folder):
        """Runs the load to its end: requests a second, and milliseconds that 99 % of them took less than."""
        times = folder / "times.csv"
        begin = time.monotonic()
        subprocess.run(["ab", "-q", "-k", "-n", str(requests), "-c", str(CLIENTS), "-e", times,
                        f"http://127.0.0.1:{self.port}/both"], check=True, capture_output=True, timeout=600)
        seconds = time.monotonic() - begin
        with times.open(newline="") as file:
            percentiles = {row[0]: float(row[1]) for row in list(csv.reader(file))[1:]}
        return {"seconds": seconds, "rate": requests / seconds, "p99": percentiles["99"]}


def ask_profiled(server, requests, command_for):
    profiler = measuring.Profiler(command_for, server.pid, SETTLE_SECONDS) if command_for else None
    folder = profiler.folder if profiler else pathlib.Path("/tmp")
    try:
        server.account()
        own = measuring.schedstat_seconds(profiler.process.pid) if profiler else 0.0
        before = server.cpu_seconds()
        row = server.ask(requests, folder)
        row["cpu_us"] = (server.cpu_seconds() - before) / requests * 1e6
        row["own_share"] = ((measuring.schedstat_seconds(profiler.process.pid) - own) / row["seconds"]
                            if profiler else 0.0)
        account = server.account()
        row["stall"] = account["stall"]
        if profiler:
            row["covered"] = covered(profiler, account)
    finally:
        if profiler:
            profiler.discard()
    return row


def covered(profiler, account):
    """What the profile says of the time in one function, beside what the function says itself."""
    profiler.finish()
    stacks, seconds_of = python_profilers.stacks_of(profiler.folder)
    return sum(map(seconds_of, stacks.with_function("wait_for_stock"))) / account["slept"]


def gunicorn(bench):
    """gunicorn (gthread) and Flask under load, wall mode at 99 Hz (others: 100): ratios to the runs without a profiler."""
    if not shutil.which("gunicorn") or not shutil.which("ab"):
        raise RuntimeError("wants gunicorn and ab: scripts/setup")
    requests = 600 if bench.quick else 2_000
    with Gunicorn() as server:
        server.ask(200, pathlib.Path("/tmp"))  # warm
        results = overhead.run_blocks(python_profilers.conditions_of(bench), pairs_of(bench),
                                      lambda command_for: ask_profiled(server, requests, command_for))
    rows, data = [], {}
    for name, values in results.items():
        row = [name]
        data[name] = {"values": values}
        for key, digits in (("rate", 3), ("p99", 3), ("cpu_us", 3), ("stall", 2)):
            row.append(ratio(results["none"], values, key).text(digits=digits) if name != "none" else
                       stats.median_with_interval([value[key] for value in values]).text(digits=digits))
        own = stats.median_with_interval([100 * value["own_share"] for value in values])
        told = [value["covered"] for value in values if "covered" in value]
        row += [own.text() if own.median else "", stats.median_with_interval(told).text(digits=3) if told else ""]
        rows.append(row)
    return rows, ["", "requests/s", "p99, ms", "CPU per request, µs", "longest stall, s", "profiler's CPU, % of a core",
                  "time covered"], data


def ratio(before, after, key):
    return stats.median_with_interval([b[key] / a[key] for a, b in zip(before, after)])


# ---------------------------------------------------------------------------------------------
# Many threads.

class ManyThreads(measuring.Program):
    def __init__(self, threads=160):
        super().__init__(sys.executable, TARGETS / "many_threads.py", threads)
        self.pid = int(self.words("READY")[1])

    def run(self, seconds):
        self.process.stdin.write(f"run {seconds}\n")
        self.process.stdin.flush()
        return json.loads(" ".join(self.words("RESULT")[1:]))


def threads(bench):
    """A program of 160 threads that mostly sleep, wall mode at 99 Hz (others: 100): ratios to the runs without a profiler."""
    seconds = 1 if bench.quick else 2

    def measure(command_for):
        profiler = measuring.Profiler(command_for, program.pid, SETTLE_SECONDS) if command_for else None
        try:
            own = measuring.schedstat_seconds(profiler.process.pid) if profiler else 0.0
            row = program.run(seconds)
            row["own_share"] = ((measuring.schedstat_seconds(profiler.process.pid) - own) / row["seconds"]
                                if profiler else 0.0)
            if profiler:
                profiler.finish()
        finally:
            if profiler:
                profiler.discard()
        return {**row, "rate": row["units"] / row["seconds"], "cpu_us": row["cpu"] / row["units"] * 1e6}

    with ManyThreads() as program:
        program.run(1)  # warm
        results = overhead.run_blocks(python_profilers.conditions_of(bench), pairs_of(bench), measure)
    rows, data = [], {}
    for name, values in results.items():
        row = [name]
        for key, digits in (("rate", 3), ("cpu_us", 3), ("stall", 2)):
            row.append(ratio(results["none"], values, key).text(digits=digits) if name != "none" else
                       stats.median_with_interval([value[key] for value in values]).text(digits=digits))
        own = stats.median_with_interval([100 * value["own_share"] for value in values])
        rows.append([*row, own.text() if own.median else ""])
        data[name] = {"values": values}
    return rows, ["", "units/s", "CPU per unit, µs", "longest stall, s", "profiler's CPU, % of a core"], data


# ---------------------------------------------------------------------------------------------
# Impossible stacks.

def pairs_conditions(bench):
    """Each profiler as it is called, at rates at which it still keeps up."""
    programs = python_profilers.installed(bench)
    rates = {f"whyslow {rate} Hz": bench.by_whyslow(rate, (".pb.gz",), mode="wall") for rate in (100, 1000, 5000)}
    return bench.chosen({
        **rates, "whyslow --bpf no 1000 Hz": bench.by_whyslow(1000, (".pb.gz",), "--bpf", "no", mode="wall"),
        "py-spy --idle 200 Hz": python_profilers.by_py_spy(programs, 200),
        "py-spy --idle --nonblocking 200 Hz": python_profilers.by_py_spy(programs, 200, "--nonblocking"),
        "austin 200 Hz": python_profilers.by_austin(programs, 200)})


class LegalPairs(measuring.Program):
    def __init__(self, python):
        super().__init__(python.path, TARGETS / "legal_pairs.py")
        table = json.loads(" ".join(self.words("TABLE")[1:]))
        self.legal = python_profilers.stacks_module().LegalPairs(table)
        self.pid = int(self.words("READY")[1])


def judged(program, command_for, seconds):
    with measuring.Profiler(command_for, program.pid, SETTLE_SECONDS) as profiler:
        time.sleep(seconds)
        profiler.finish()
        stacks, _ = python_profilers.stacks_of(profiler.folder)
        return python_profilers.stacks_module().judge(stacks, program.legal)


def pairs(bench):
    """A program whose legal pairs of caller and callee are known: stacks that cannot be, by interpreter."""
    python_profilers.stacks_module()
    import python_interpreters
    seconds = 2 if bench.quick else 20
    conditions = pairs_conditions(bench)
    rows, data = [], {}
    for python in python_interpreters.found():
        measuring.say(f"  {python}")
        for name, command_for in conditions.items():
            with LegalPairs(python) as program:
                try:
                    found = judged(program, command_for, seconds)
                except (RuntimeError, OSError) as error:
                    rows.append([f"{python}: {name}", "failed", "", "", "", ""])
                    data[f"{python}: {name}"] = str(error)
                    continue
            share = found.impossible_share
            rows.append([f"{python}: {name}", found.stacks, found.impossible,
                         "no Python frames" if share is None else f"{100 * share:.4f}",
                         f"{100 * found.cut / max(found.stacks, 1):.2f}",
                         f"{100 * found.without_python / max(found.stacks, 1):.2f}"])
            data[rows[-1][0]] = {**vars(found), "examples": found.examples.most_common(20)}
    return rows, ["", "stacks", "impossible", "% of those with Python frames", "cut by own account, %", "without Python frames, %"], data


PARTS = {"python_gunicorn": gunicorn, "python_threads": threads, "python_pairs": pairs}
