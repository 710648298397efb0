"""What measuring every wait costs: the target, the others on the machine, and whyslow itself."""

import re
import shutil
import time

import bpf_programs
import measuring
import overhead
import stats

# Requests a second, exchanges and microseconds of work in each (targets/exchange.c). An exchange is two switches of
# the server's own, the pause until the next request is one; on one CPU about half as many again are preemptions,
# which are timed too. The tables say how many there were.
SERVERS = {3_000: (200, 4, 3_500), 50_000: (1_000, 17, 500)}
CPU_OF_TARGET = 1  # one: where threads meet by chance, CPU per request differs by more than what is looked for
# Not the target's own doing: what the kernel counts as involuntary.
NOT_ITS_OWN = {"preempted", "runqueue", "throttled"}


class Exchange(measuring.Program):
    """The server with a fixed rate of switches; one for all runs that are compared."""

    def __init__(self, bench, switches):
        super().__init__(bench.program("exchange"), *SERVERS[switches], CPU_OF_TARGET)
        self.pid = int(self.words("READY")[1])

    def run(self, seconds):
        self.process.stdin.write(f"run {seconds}\n")
        self.process.stdin.flush()
        _, requests, nanos, voluntary, other, _ = map(_number, self.words("RESULT"))
        return {"units": requests, "cpu": nanos / 1e9, "voluntary": voluntary, "switches": voluntary + other,
                "seconds": seconds}


def _number(word):
    return int(word) if word.isdigit() else word


def conditions_of(bench):
    conditions = {"none": None, "none again": None,
                  "whyslow": bench.by_whyslow(99, (".pb.gz",), mode="wall"),
                  "whyslow --bpf no": bench.by_whyslow(99, (".pb.gz",), "--bpf", "no", mode="wall")}
    if shutil.which("perf"):
        conditions["perf sched_switch"] = bench.by_perf_switches()
    return bench.chosen(conditions)


def pairs_of(bench):
    return bench.pairs or (4 if bench.quick else 30)


def told_by(profiler, finished):
    """How many waits the profiler saw, and how many of them it lost or knows without a stack, by its own account."""
    path = profiler.folder / "p.pb.gz"
    if path.exists():
        profile = measuring.pprof_reader(path)
        return {"waits": waits_in(profile), **said_in(profile.comments())}
    # perf: each sample is one switch; what it lost it says in chunks of unknown size.
    samples = re.search(r"\((\d+) samples\)", finished.stderr)
    chunks = re.search(r"lost (\d+) chunks", finished.stderr)
    return {"waits": int(samples[1]) if samples else 0, "lost_chunks": int(chunks[1]) if chunks else 0}


def waits_in(profile):
    place = profile.index_of("waits")
    return sum(sample.value[place] for sample in profile.samples
               if profile.labels(sample).get("wait") not in NOT_ITS_OWN)


def said_in(comments):
    text = "\n".join(comments)
    waits = re.search(r"^waits: \d+, lost: (\d+), with the stack of a similar wait: (\d+)", text, re.MULTILINE)
    stacks = re.search(r"^stacks of waits: (\d+) copied, (\d+) copied again and compared, (\d+) wrong", text, re.MULTILINE)
    said = dict(zip(("lost", "unsent"), map(int, waits.groups()))) if waits else {}
    if stacks:
        said.update(zip(("copied", "checked", "wrong"), map(int, stacks.groups())))
    return said


def profiled(command_for, pid, run):
    """One run, its values per unit of work."""
    profiler = measuring.Profiler(command_for, pid) if command_for else None
    values = {"own_share": 0.0}
    try:
        before = measuring.schedstat_seconds(profiler.process.pid) if profiler else 0
        ran = run()
        if profiler:
            own = measuring.schedstat_seconds(profiler.process.pid) - before
            values = {"own_share": own / ran["seconds"], **told_by(profiler, profiler.finish())}
    finally:
        if profiler:
            profiler.discard()
    return {**ran, **values, "cpu_us": ran["cpu"] / ran["units"] * 1e6,
            "switches_a_unit": ran["switches"] / ran["units"]}


def report(results, unit):
    percent = overhead.changes(results, "cpu_us")
    rows, data = [], {}
    for name, values in results.items():
        figure = stats.median_with_interval([row["cpu_us"] for row in values])
        extra = extra_a_switch(results["none"], values)
        own = stats.median_with_interval([100 * row["own_share"] for row in values])
        told = [row for row in values if "waits" in row]
        rows.append([name, figure.text(), percent[name].text() if name in percent else "",
                     extra.text(digits=3) if name in percent else "", own.text() if own.median else "",
                     counted_text(told), lost_text(told)])
        data[name] = {"value": vars(figure), "change_percent": vars(percent[name]) if name in percent else None,
                      "extra_us_a_switch": vars(extra), "own_cpu_percent": vars(own), "values": values}
    return rows, ["", unit, "change, %", "extra a switch, µs", "profiler's CPU, % of a core", "waits seen, %",
                  "lost; without a stack"], data


def extra_a_switch(base, values):
    return stats.median_with_interval([(row["cpu_us"] - before["cpu_us"]) / before["switches_a_unit"]
                                       for before, row in zip(base, values)])


def counted_text(told):
    # perf's samples are of all switches; ours here of those that the target itself made.
    shares = [100 * row["waits"] / row["switches" if "lost_chunks" in row else "voluntary"] for row in told]
    return stats.median_with_interval(shares).text(digits=3) if shares else ""


def lost_text(told):
    if not told:
        return ""
    if "lost_chunks" in told[0]:
        return f"{sum(row['lost_chunks'] for row in told)} chunks"
    if "lost" not in told[0]:
        return "not said"
    return f"{sum(row['lost'] for row in told)}; {sum(row['unsent'] for row in told)}"


# ---------------------------------------------------------------------------------------------

def server_part(switches):
    def part(bench):
        seconds = 0.6
        with Exchange(bench, switches) as program:
            program.run(1)  # warm
            results = overhead.run_blocks(
                conditions_of(bench), pairs_of(bench),
                lambda command_for: profiled(command_for, program.pid, lambda: program.run(seconds)))
        rates = [row["switches"] / row["seconds"] for row in results["none"]]
        rows, header, data = report(results, "CPU per request, µs")
        rows.append(["switches a second", stats.median_with_interval(rates).text(digits=0), "", "", "", "", ""])
        return rows, header, data
    part.__doc__ = f"CPU per request of a server with about {switches:,} switches a second, 99 Hz in wall mode."
    return part


def run_pingpong(bench, seconds, command_for, pid_of=None):
    """pid_of: the process that is profiled instead of the ping-pong itself."""
    with measuring.Program(bench.program("pingpong"), seconds, CPU_OF_TARGET) as program:
        pid = int(program.words("READY")[1])

        def run():
            program.begin()
            _, rounds, nanos, voluntary = map(_number, program.words("RESULT"))
            return {"units": rounds, "cpu": nanos / 1e9, "voluntary": voluntary, "switches": 2 * rounds,
                    "seconds": seconds}
        return profiled(command_for, pid_of or pid, run)


def pingpong(bench):
    """CPU per round trip of two threads in ping-pong on one CPU, 99 Hz in wall mode; every wait is to be counted."""
    results = overhead.run_blocks(conditions_of(bench), pairs_of(bench),
                                  lambda command_for: run_pingpong(bench, 0.6, command_for))
    return report(results, "CPU per round trip, µs")


def others(bench):
    """CPU per round trip of a ping-pong that nobody profiles, while a sleeping process is profiled."""
    with measuring.Program("sleep", 3600) as sleeper:
        results = overhead.run_blocks(
            conditions_of(bench), pairs_of(bench),
            lambda command_for: run_pingpong(bench, 0.6, command_for, pid_of=sleeper.process.pid))
    rows, header, data = report(results, "CPU per round trip, µs")
    return [row[:5] for row in rows], header[:5], data


def programs(bench):
    """What our BPF programs take by the kernel's own account (which adds the time of taking the time), and what that
    makes of the target's CPU: the figure where A against A is too wide to show the difference."""
    command = bench.by_whyslow(99, (".pb.gz",), mode="wall")
    seconds = 1 if bench.quick else 3
    rows, data = [], {}

    def measure(name, pid, run):
        with measuring.Profiler(command, pid) as profiler:
            with bpf_programs.counting():
                before = bpf_programs.of_process(profiler.process.pid)
                ran = run()
                after = bpf_programs.of_process(profiler.process.pid)
            profiler.finish()
        runs = {program: after[program] - before[program] for program in after}
        data[name] = {program: vars(value) for program, value in runs.items()}
        for program, value in sorted(runs.items()):
            if value.count > 100:
                rows.append([f"{name}: {program}", f"{value.count / ran['seconds']:,.0f}",
                             f"{value.nanos / value.count:.0f}", f"{value.nanos / ran['cpu'] / 1e7:.3f}"])

    for switches in SERVERS:
        with Exchange(bench, switches) as program:
            program.run(1)
            measure(f"{switches:,} switches", program.pid, lambda: program.run(seconds))
    with measuring.Program(bench.program("pingpong"), seconds, CPU_OF_TARGET) as program:
        pid = int(program.words("READY")[1])

        def run():
            program.begin()
            return {"seconds": seconds, "cpu": _number(program.words("RESULT")[2]) / 1e9}
        measure("ping-pong", pid, run)
    return rows, ["", "runs a second", "ns a run", "of the target's CPU, %"], data


def long(bench):
    """whyslow's own CPU, memory and time to finish in wall mode at 99 Hz, and how many stacks it copies."""
    seconds = 8 if bench.quick else 30
    rows, data = [], {}
    for switches in SERVERS:
        for options in ((), ("--bpf", "no")):
            command = bench.by_whyslow(99, (".pb.gz",), *options, mode="wall")
            with Exchange(bench, switches) as program, measuring.Profiler(command, program.pid) as profiler:
                begin, before = time.monotonic(), measuring.schedstat_seconds(profiler.process.pid)
                program.run(seconds)
                own = (measuring.schedstat_seconds(profiler.process.pid) - before) / (time.monotonic() - begin)
                finished = profiler.finish()
                told = told_by(profiler, finished)
            name = f"{switches:,} switches a second{' without BPF' if options else ''}"
            stacks = "not said" if "copied" not in told else (
                f"{told['copied']} + {told['checked']} again ({told['wrong']} wrong)")
            rows.append([name, f"{100 * own:.2f}", f"{finished.most_resident / 1e6:.1f}",
                         f"{finished.finish_seconds:.2f}", stacks])
            data[name] = {"own": own, **vars(finished), **told}
    return rows, [f"{seconds} s", "own CPU, % of a core", "most resident, MB", "s to the file", "stacks copied"], data


PARTS = {f"waits_server_{switches}": server_part(switches) for switches in SERVERS}
PARTS.update({"waits_pingpong": pingpong, "waits_others": others, "waits_programs": programs, "waits_long": long})
