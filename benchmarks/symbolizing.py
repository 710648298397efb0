"""Names for addresses of large debug files: time, CPU time and memory, beside the tools that people use for it."""

import os
import pathlib
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import debug_files
import measuring
import stats

ADDRESSES = 10_000
MEMORY_LIMIT = 14 << 30  # a peer that wants more is stopped: it would take the machine with it
TIME_LIMIT = 900


def addresses_of(path, count=ADDRESSES):
    """Spread over all functions by their size, the same ones every time; as many as asked for."""
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "scripts"))
    import compare_symbols
    chosen = compare_symbols.code_addresses(path, count * 2)
    return sorted(random.Random(1).sample(chosen, min(count, len(chosen))))


def run(command, addresses, hexadecimal):
    """One run of a tool that reads addresses; None when it failed."""
    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))

    with tempfile.TemporaryFile("w+") as asked:
        asked.write("".join(f"{hexadecimal}{address:x}\n" for address in addresses))
        asked.seek(0)
        begin = time.monotonic()
        # pylint: disable-next=consider-using-with,subprocess-popen-preexec-fn
        process = subprocess.Popen(list(map(str, command)), stdin=asked, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, preexec_fn=limit)
        watch = threading.Timer(TIME_LIMIT, process.kill)
        watch.start()
        _, status, usage = os.wait4(process.pid, 0)
        watch.cancel()
        seconds = time.monotonic() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        return None
    return {"seconds": seconds, "cpu": usage.ru_utime + usage.ru_stime, "megabytes": usage.ru_maxrss * 1024 / 1e6}


def tools(bench, path, cache):
    """Name -> (command, how a hexadecimal address begins, may be left out when the file is large)."""
    ours = bench.program("symbolize_addresses")
    found = {"whyslow": ([ours, path], "", False),
             "whyslow, names kept from the last run": ([ours, path, cache], "", False),
             "llvm-symbolizer": (["llvm-symbolizer-14", "--inlines", "-e", path], "0x", False),
             "addr2line -i": (["addr2line", "-i", "-f", "-C", "-e", path], "0x", True),
             "eu-addr2line -i": (["eu-addr2line", "-i", "-f", "-C", "-e", path], "0x", True)}
    return {name: tool for name, tool in found.items() if shutil.which(str(tool[0][0]))}


def symbolize(bench):
    """Functions, inlined functions and lines of 10,000 addresses; the whole process, debug file in the page cache."""
    folder = bench.build / "benchmarks"
    rows, values = [], {}
    for megabytes in (140,) if bench.quick else (140, 1000):
        path = debug_files.program(folder, megabytes)
        addresses = addresses_of(path)
        with tempfile.TemporaryDirectory(prefix="whyslow-bench-") as home:
            available = tools(bench, path, pathlib.Path(home) / "cache")
            if "whyslow, names kept from the last run" in available:
                time.sleep(2.5)  # a file that has just been written is not trusted to stay as it is
                run(*available["whyslow, names kept from the last run"][:1], addresses, "")
            measured = {name: [] for name in available}
            for order in stats.interleaved(list(available), 3 if bench.quick else 7):
                for name in order:
                    command, hexadecimal, is_slow = available[name]
                    if is_slow and measured[name]:
                        continue  # minutes each, and far away: one run says it
                    with open(path, "rb") as file:
                        while file.read(1 << 24):
                            pass
                    measured[name].append(run(command, addresses, hexadecimal))
        for name, results in measured.items():
            rows.append([f"{path.stat().st_size / 1e6:.0f} MB", name, *figures(results)])
        values[megabytes] = measured
    return rows, ["debug file", "tool", "wall, s", "CPU, s", "most memory, MB"], {"runs": values}


def figures(results):
    if None in results or not results:
        return [f"failed, over {MEMORY_LIMIT >> 30} GiB or {TIME_LIMIT} s", "", ""]
    return [stats.median_with_interval([result[key] for result in results]).text(digits=digits)
            for key, digits in (("seconds", 3), ("cpu", 3), ("megabytes", 0))]
