"""What whyslow itself costs and keeps: lost samples, CPU time, memory over time, time to the finished files."""

import shutil
import time

import measuring
import stats


def lost(bench):
    """Samples lost at 4,999 Hz with two busy threads, and how many of those that were due arrived."""
    rounds, seconds = (2, 5) if bench.quick else (7, 10)
    rows = []
    for _ in range(rounds):
        with measuring.Program(bench.program("spin"), 2, seconds + 6, 30) as program:
            pid = int(program.words("READY")[1])
            with measuring.Profiler(bench.by_whyslow(4999), pid) as profiler:
                before = measuring.schedstat_seconds(pid)
                time.sleep(seconds)
                used = measuring.schedstat_seconds(pid) - before
                begin = time.monotonic()
                finished = profiler.finish()
                profile = measuring.pprof_reader(profiler.folder / "p.pb.gz")
                duration = profile.raw.duration_nanos / 1e9
        # Both threads burn all the time: their rate in the window that was read out is their rate in the profile's.
        due = used / seconds * duration * 4999
        taken = profile.total("cpu_samples")
        count = measuring.lost_count(profile)
        rows.append({"taken": taken, "due": due, "lost": count, "cpu": finished.cpu_seconds / (seconds + 1),
                     "finish": time.monotonic() - begin})
    taken = stats.median_with_interval([100 * row["taken"] / row["due"] for row in rows])
    known = [row["lost"] for row in rows if row["lost"] is not None]
    table = [["samples taken, % of those due", taken.text()],
             ["samples lost, by its own count", stats.median_with_interval(known).text(digits=0) if known else "not said"],
             ["own CPU, % of a core", stats.median_with_interval([100 * row["cpu"] for row in rows]).text()]]
    return table, ["4,999 Hz, two busy threads", "median [95 %]"], {"runs": rows}


def cpu(bench):
    """Own CPU time at 99 Hz with four busy threads, between the beginning and the end of recording."""
    rounds, seconds = (2, 5) if bench.quick else (7, 20)
    shares = []
    for _ in range(rounds):
        with measuring.Program(bench.program("spin"), 4, seconds + 6, 30) as program:
            pid = int(program.words("READY")[1])
            with measuring.Profiler(bench.by_whyslow(99), pid) as profiler:
                before = measuring.schedstat_seconds(profiler.process.pid)
                time.sleep(seconds)
                shares.append(100 * (measuring.schedstat_seconds(profiler.process.pid) - before) / seconds)
                profiler.finish()
    figure = stats.median_with_interval(shares)
    return [["own CPU, % of a core", figure.text(digits=3)]], ["99 Hz, four busy threads", "median [95 %]"], {
        "percent": vars(figure), "values": shares}


def memory(bench):
    """Resident memory over time at 999 Hz on the example server under load, and whether it grows."""
    seconds = 30 if bench.quick else 600
    program, pid, port = bench.server(seconds + 30)
    samples = []
    with program, measuring.Program(bench.program("example_native_load"), "--port", port, "--seconds", seconds + 10):
        with measuring.Profiler(bench.by_whyslow(999), pid) as profiler:
            begin = time.monotonic()
            while time.monotonic() - begin < seconds:
                samples.append((time.monotonic() - begin, measuring.resident_bytes(profiler.process.pid) / 1e6))
                time.sleep(seconds / 120)
            profiler.finish()
    half = [row for row in samples if row[0] > seconds / 2]
    growth = stats.slope([row[0] / 60 for row in half], [row[1] for row in half])
    table = [["after 5 s, MB", f"{next(mb for at, mb in samples if at >= 5):.1f}"],
             ["at the end, MB", f"{samples[-1][1]:.1f}"], ["most, MB", f"{max(mb for _, mb in samples):.1f}"],
             ["growth in the second half, MB a minute", f"{growth:.3f}"]]
    return table, [f"resident memory, 999 Hz, {seconds} s", "one run"], {"samples": samples}


def finish(bench):
    """From the end of 10 s at 999 Hz of the example server to the files, and perf's way to folded stacks."""
    rounds, seconds = (2, 4) if bench.quick else (7, 10)
    ours, theirs, own = [], [], {"whyslow": [], "perf": []}
    for _ in range(rounds):
        program, pid, port = bench.server(2 * seconds + 60)
        with program:
            for tool in ("whyslow", "perf"):
                if tool == "perf" and shutil.which("perf") is None:
                    continue
                command = (bench.by_whyslow(999, (".pb.gz", ".folded", ".svg")) if tool == "whyslow"
                           else bench.by_perf_dwarf(999))
                with measuring.Program(bench.program("example_native_load"), "--port", port, "--seconds", seconds + 3):
                    with measuring.Profiler(command, pid) as profiler:
                        time.sleep(seconds)
                        finished = profiler.finish()
                        if tool == "whyslow":
                            ours.append(finished.finish_seconds)
                            own["whyslow"].append(finished.cpu_seconds)
                        else:
                            begin = time.monotonic()
                            cpu_seconds, _ = measuring.fold_perf_data(profiler.folder)
                            theirs.append(finished.finish_seconds + time.monotonic() - begin)
                            own["perf"].append(finished.cpu_seconds + cpu_seconds)
    table = [["whyslow: pprof, folded and SVG", stats.median_with_interval(ours).text(),
              stats.median_with_interval(own["whyslow"]).text()]]
    if theirs:
        table.append(["perf record (16 KB copies), then perf script, folded", stats.median_with_interval(theirs).text(),
                      stats.median_with_interval(own["perf"]).text()])
    return table, [f"{seconds} s at 999 Hz, C++ server with debug information", "s to the files", "CPU s in all"], {
        "whyslow_seconds": ours, "perf_seconds": theirs, "cpu_seconds": own}
