"""What unwinding costs: a stack beside other unwinders, the tables of large modules, and attaching to them."""

import glob
import json
import os
import pathlib
import re
import subprocess
import tempfile
import time

import measuring
import stats

LARGE = 50_000_000  # bytes of a module that counts as large here
FREQUENCY = 999


def large_modules():
    """Installed libraries of at least LARGE bytes, the largest first, each file once."""
    found = {}
    for pattern in ("/usr/lib/*/*.so*", "/usr/lib/*.so*", "/usr/lib/*/lib/*.so*", "/usr/lib64/*.so*"):
        for path in map(pathlib.Path, glob.glob(pattern)):
            if path.is_file() and path.stat().st_size >= LARGE:
                found.setdefault(path.stat().st_ino, path)
    return sorted(found.values(), key=lambda path: -path.stat().st_size)


def run_google_benchmark(bench, name_filter, module=None):
    """{name: {"values": ns of CPU per repetition, counters...}}"""
    environment = {**os.environ, **({"WHYSLOW_BENCHMARK_MODULE": str(module)} if module else {})}
    ended = subprocess.run(
        [bench.program("unwind_benchmark"), f"--benchmark_filter={name_filter}", "--benchmark_format=json",
         f"--benchmark_repetitions={3 if bench.quick else 9}", f"--benchmark_min_time={0.1 if bench.quick else 0.5}"],
        env=environment, capture_output=True, text=True, check=True, timeout=900)
    results = {}
    scale = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}
    for run in json.loads(ended.stdout)["benchmarks"]:
        if run.get("error_occurred"):
            raise RuntimeError(f"{run['name']}: {run['error_message']}")
        if run["run_type"] == "iteration":
            result = results.setdefault(run["run_name"], {**run, "values": []})
            result["values"].append(run["cpu_time"] * scale[run["time_unit"]])
    return results


def stack_rows(bench):
    """Rows of the table, and the measured values."""
    names = {"BmUnwind/cfi": "whyslow (bound: 3 µs)", "BmUnwind/auto": "whyslow, --unwind auto",
             "BmLibunwind": "libunwind, its own memory, a cache for each thread",
             "BmLibunwindBacktrace": "libunwind, unw_backtrace of the caller itself",
             "BmLibdw": "libdw, from the same copy"}
    results = run_google_benchmark(bench, "Unwind|Libunwind|Libdw")
    rows = []
    for key, name in names.items():
        if key in results:
            figure = stats.median_with_interval([value / 1e3 for value in results[key]["values"]])
            rows.append([f"one warm stack of {results[key]['frames']:.0f} frames: {name}", figure.text(" µs")])
        else:
            rows.append([f"one warm stack: {name}", "not measured: the library was not found at build time"])
    return rows, results


def table_rows(bench, modules):
    rows, data = [], {}
    for module in modules:
        results = run_google_benchmark(bench, "Table", module)
        data[str(module)] = results
        compiled, loaded = results["BmCompileTable"], results["BmLoadTable"]
        for result, what in ((compiled, "compiled (bound: 150 ms)"),
                             (loaded, f"from the cache ({loaded['cached_MB']:.1f} MB)")):
            figure = stats.median_with_interval([value / 1e6 for value in result["values"]])
            rows.append([f"table of {module.name}, {result['file_MB']:.0f} MB, {result['rows']:.0f} rows: {what}",
                         figure.text(" ms")])
    return rows, data


class Attach:
    """One `whyslow attach`: when it was in place, when the first stack was known."""

    def __init__(self, bench, pid, cache):
        with tempfile.TemporaryDirectory(prefix="whyslow-bench-") as folder:
            command = [bench.whyslow, "attach", "--pid", pid, "--mode", "cpu", "--frequency", FREQUENCY, "--duration", "500ms",
                       "--verbose", "--cache", cache, "--output", f"{folder}/p.pb.gz"]
            begin = time.monotonic()
            with subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True) as process:
                first = process.stderr.readline()
                self.in_place = 1e3 * (time.monotonic() - begin)
                rest = process.stderr.read()
            if process.returncode != 0 or "attached" not in first:
                raise RuntimeError(f"whyslow attach: {first}{rest}")
        self.first_stack = float(re.search(r"the first stack was known ([0-9.]+) ms after", rest)[1])
        self.compiled, self.loaded = map(int, re.search(r"tables: (\d+) compiled, (\d+) from", rest).groups())


def attach_rows(bench, modules):
    rounds = 4 if bench.quick else 15
    for module in modules:
        program = measuring.Program(bench.program("big_module"), module, 30 + 5 * rounds)
        with program:
            try:
                pid = int(program.words("READY")[1])
            except RuntimeError:
                continue  # not a library of LLVM's: the target does not know how to burn in it
            runs = {"first": [], "second": []}
            for _ in range(rounds):
                with tempfile.TemporaryDirectory(prefix="whyslow-bench-") as cache:
                    runs["first"].append(Attach(bench, pid, cache))
                    runs["second"].append(Attach(bench, pid, cache))
            if any(run.loaded for run in runs["first"]) or not all(run.loaded for run in runs["second"]):
                raise RuntimeError("the second attach did not find the table in the cache")
            rows = []
            for which, bound in (("first", ""), ("second", " (bound: 100 ms)")):
                for what, values in ((f"exec until all events are on{bound}", [run.in_place for run in runs[which]]),
                                     ("attach until the first stack is known", [run.first_stack for run in runs[which]])):
                    rows.append([f"{which} attach, {module.name} mapped: {what}",
                                 stats.median_with_interval(values).text(" ms", 1)])
            return rows, {which: [vars(run) for run in runs[which]] for which in runs}
    return [["attach with a large module mapped", "not measured: no library of LLVM's is installed"]], {}


def unwind(bench):
    """Unwinding: one stack beside libunwind and libdw, tables of large modules, attaching to who maps them."""
    rows, data = stack_rows(bench)
    modules = large_modules()
    if modules:
        more, tables = table_rows(bench, modules)
    else:
        more, tables = [["tables of large modules", "not measured: no library of 50 MB or more is installed"]], {}
    attached, attaches = attach_rows(bench, modules)
    return rows + more + attached, ["what", "median [95 %]"], {"stacks": data, "tables": tables, "attach": attaches}
