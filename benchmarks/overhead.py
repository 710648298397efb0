"""What being profiled costs the target: its CPU time per request or round trip, against its own without a profiler.

Runs are interleaved in blocks, each block holding every condition once in an order of its own; a condition is
compared with the run `none` of the same block, and so is a second run without a profiler (A against A), which
shows what the method itself cannot tell apart.
"""

import measuring
import stats


def run_blocks(conditions, blocks, measure):
    """measure(command_for or None) -> dictionary of values; returns {condition: [dictionary per block]}."""
    results = {name: [] for name in conditions}
    for number, order in enumerate(stats.interleaved(conditions, blocks), 1):
        measuring.say(f"  block {number} of {blocks}")
        for name in order:
            results[name].append(measure(conditions[name]))
    return results


def changes(results, key):
    base = [row[key] for row in results["none"]]
    return {name: stats.paired_change(base, [row[key] for row in rows]).scaled(100)
            for name, rows in results.items() if name != "none"}


# ---------------------------------------------------------------------------------------------

def server(bench):
    """CPU per request of the C++ example server at 99 and 999 Hz, whyslow and perf with stack copies."""
    blocks = 6 if bench.quick else 30
    requests = 8_000 if bench.quick else 20_000
    conditions = {"none": None, "none again": None,
                  "whyslow 99 Hz": bench.by_whyslow(99), "perf dwarf 99 Hz": bench.by_perf_dwarf(99),
                  "whyslow 999 Hz": bench.by_whyslow(999), "perf dwarf 999 Hz": bench.by_perf_dwarf(999)}
    program, pid, port = bench.server(3600)
    with program:
        bench.ask(port, "--requests", requests)  # warm

        def measure(command_for):
            profiler = measuring.Profiler(command_for, pid) if command_for else None
            try:
                before = measuring.schedstat_seconds(pid)
                answer = bench.ask(port, "--requests", requests)
                used = measuring.schedstat_seconds(pid) - before
                own = profiler.finish().cpu_seconds if profiler else 0.0
            finally:
                if profiler:
                    profiler.discard()
            return {"cpu_us": used / answer["requests"] * 1e6, "rate": answer["requests"] / answer["seconds"],
                    "own_share": own / answer["seconds"]}

        results = run_blocks(conditions, blocks, measure)
    return report(results, "cpu_us", "CPU per request, µs")


def pingpong(bench):
    """CPU per round trip of two threads over pipes on one CPU at 999 Hz: the worst case for context switches."""
    blocks = 4 if bench.quick else 30
    seconds = 1 if bench.quick else 2
    conditions = {"none": None, "none again": None, "whyslow": bench.by_whyslow(999),
                  "perf -p": bench.by_perf_task(999), "perf -a": bench.by_perf_all(999)}

    def measure(command_for):
        with measuring.Program(bench.program("pingpong"), seconds) as program:
            pid = int(program.words("READY")[1])
            profiler = measuring.Profiler(command_for, pid) if command_for else None
            try:
                program.begin()
                _, rounds, nanos, _ = program.words("RESULT")
                own = profiler.finish().cpu_seconds if profiler else 0.0
            finally:
                if profiler:
                    profiler.discard()
        return {"cpu_us": int(nanos) / int(rounds) / 1e3, "rate": int(rounds) / seconds, "own_share": own / seconds}

    return report(run_blocks(conditions, blocks, measure), "cpu_us", "CPU per round trip, µs")


def report(results, key, unit):
    percent = changes(results, key)
    rate = changes(results, "rate")
    rows, data = [], {}
    for name, values in results.items():
        figure = stats.median_with_interval([row[key] for row in values])
        own = stats.median_with_interval([100 * row["own_share"] for row in values])
        rows.append([name, figure.text(), percent[name].text() if name in percent else "",
                     rate[name].text() if name in rate else "", own.text() if own.median else ""])
        data[name] = {"value": vars(figure), "change_percent": vars(percent[name]) if name in percent else None,
                      "rate_change_percent": vars(rate[name]) if name in rate else None, "own_cpu_percent": vars(own),
                      "values": values}
    return rows, ["", unit, "change, %", "change of rate, %", "profiler's CPU, % of a core"], data
