"""The profilers: each is run on a pid for a while and gives the stacks it saw as rows."""

import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "integration"))

from judge import KERNEL, Row  # noqa: E402
from pprof_file import PprofFile  # noqa: E402
import whyslow_testing  # noqa: E402

# On a busy machine a target gets few samples in that time; then once more, for longer.
SECONDS = 1.5
LONGER = 8.0


class ToolFailed(Exception):
    """The profiler gave no profile; its own words."""


def environment_of(surroundings):
    return {**os.environ, "LC_ALL": "C", **surroundings.environment}


def run_tool(command, surroundings, timeout):
    ended = subprocess.run([*surroundings.prefix, *map(str, command)], capture_output=True, text=True, errors="replace",
                           env=environment_of(surroundings), timeout=timeout, stdin=subprocess.DEVNULL)
    if ended.returncode != 0:
        words = (ended.stderr.strip() or ended.stdout.strip()).splitlines() or [""]
        raise ToolFailed(f"{pathlib.Path(command[0]).name} ended with {ended.returncode}: {words[-1]}")
    return ended.stdout


class Whyslow:
    name = "whyslow"
    shows_parameters = True
    command = f"whyslow attach --pid PID --mode cpu --duration {SECONDS}s --frequency 999 --output x.folded --output x.pb.gz"

    def missing(self):
        return whyslow_testing.refusal()

    def rows(self, pid, bench, surroundings, seconds):
        folder, situation = bench.folder, bench.situation
        folded, pprof = folder / "ours.folded", folder / "ours.pb.gz"
        command = [whyslow_testing.WHYSLOW, "attach", "--pid", pid, "--mode", "cpu", "--duration", f"{seconds}s",
                   "--frequency", "999", *situation.options, "--output", folded, "--output", pprof]
        run_tool(command, surroundings, 120)
        if situation.lines:
            return _rows_of_pprof(PprofFile(pprof))
        stacks = whyslow_testing.Folded(folded.read_bytes()).stacks
        return [Row(tuple(frames[1:]), (), count) for frames, count in stacks]


def _rows_of_pprof(profile):
    samples = profile.index_of("cpu_samples")
    rows = []
    for sample in profile.samples:
        frames = [frame for number in reversed(sample.location_id)
                  for frame in _frames_of(profile, profile.locations[number])]
        rows.append(Row(tuple(name for name, _ in frames), tuple(f"{name}@{place}" for name, place in frames),
                        sample.value[samples]))
    return rows


def _frames_of(profile, location):
    """A location's functions, outermost first: (name, file:line)."""
    module = os.path.basename(profile.module_of(location))
    kernel = KERNEL if module.startswith("[kernel") else ""
    if not location.line:
        return [(f"[{module}+{location.address:#x}]{kernel}", "")]
    found = []
    for line in reversed(location.line):
        function = profile.functions[line.function_id]
        place = f"{os.path.basename(profile.strings[function.filename])}:{line.line}"
        found.append((profile.strings[function.name] + kernel, place))
    return found


class Perf:
    """`perf` as Debian 12 has it (6.1): the largest stack copies that it can make."""

    name = "perf"
    shows_parameters = False
    command = f"perf record -e cpu-clock -F 499 --call-graph dwarf,65528 -p PID -- sleep {SECONDS}; perf script"
    # An inlined frame has no module; its source line, below it, says (inlined) then.
    FRAME = re.compile(r"^\t\s*[0-9a-f]+ (.*?)(?: \((\S*?)\)?)?$")

    def missing(self):
        try:
            subprocess.run(["perf", "--version"], capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            return str(error)
        return None

    def rows(self, pid, bench, surroundings, seconds):
        folder, situation = bench.folder, bench.situation
        data = folder / "perf.data"
        run_tool(["perf", "record", "-q", "-e", "cpu-clock", "-F", "499", "--call-graph", "dwarf,65528", "-p", pid, "-o", data,
              "--", "sleep", seconds], surroundings, 120)
        fields = "comm,pid,tid,ip,sym,dso" + (",srcline" if situation.lines else "")
        text = run_tool(["perf", "script", "-i", data, "-F", fields], surroundings, 300)
        data.unlink()
        return list(self._parsed(text.splitlines()))

    def _parsed(self, lines):
        frames = []
        for line in [*lines, ""]:
            frame = self.FRAME.match(line.replace(" (deleted)", ""))
            if not line.strip():
                if frames:
                    yield Row(tuple(name for name, _ in reversed(frames)),
                              tuple(f"{name}@{place}" for name, place in reversed(frames)), 1)
                frames = []
            elif frame:
                frames.append((self._name(frame[1], frame[2] or ""), ""))
            elif frames and line.startswith("  "):
                frames[-1] = (frames[-1][0], os.path.basename(line.split()[0]))

    @staticmethod
    def _name(symbol, module):
        module = os.path.basename(module)
        if symbol == "[unknown]":
            symbol = f"[{module.strip('[]')}]"
        return symbol + (KERNEL if module.startswith("[kernel") or module.startswith("[guest.kernel") else "")
