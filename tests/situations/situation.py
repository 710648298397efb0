"""What a situation is: how its program is built and run, and what is true of its stacks."""

import contextlib
import dataclasses
import os
import pathlib
import re
import select
import shlex
import subprocess
import time

PROGRAMS = pathlib.Path(__file__).resolve().parent / "programs"

# Patterns over stacks, root first. A frame without a name, but with its module, is `[module+0x1f2c]` with us
# and `[module]` with perf; the parts of libc that have no exported name may stand so.
UNNAMED = r"\[[^;:\]]+\]"
MARK = r"\[truncated: [^;\]]+\]"
GLIBC = rf"_start;(?:__libc_start_main[^;]*|{UNNAMED});(?:__libc_start_call_main|{UNNAMED})"
# musl's start is a chain of jumps: of it, _start and the last of them are on the stack.
MUSL = rf"_start;(?:libc_start_main_stage2|{UNNAMED})"
THREAD = rf"(?:_*(?:GI_+)?clone3?|{UNNAMED});(?:start_thread|{UNNAMED})"
CHAIN = rf"{GLIBC};main;outer;middle;leaf"


@dataclasses.dataclass(frozen=True)
class Situation:
    """One row of the table.

    build: commands, in order, in a folder of the situation's own; {src} is programs/, {dir} that folder.
    chain: pattern that a whole stack matches, root first, kernel frames on top left out unless `kernel`.
    marked: pattern of what a stack may be that carries a mark instead of what is missing.
    lines: the same over frames `name@file:line`; <file marker> stands for the line that carries [marker].
    short_chain: the chain for a tool that shows C++ functions without parameters, where taking those of `chain`
        away is not enough.
    seen: (pattern, least share of the samples) for what has to occur, so that the situation was met.
    """

    name: str
    build: tuple
    chain: str
    group: str = ""
    run: str = "{dir}/program"
    needs: tuple = ()
    marked: str = ""
    lines: str = ""
    short_chain: str = ""
    seen: tuple = ()
    kernel: bool = False
    options: tuple = ()
    # Takes a Bench, gives a context manager of the pid to profile.
    start: object = None
    # A context manager of what the profilers need around them: Surroundings.
    around: object = None
    # Why this machine cannot do it, or None.
    impossible: object = None


@dataclasses.dataclass
class Surroundings:
    """What a profiler is started with."""

    prefix: tuple = ()
    environment: dict = dataclasses.field(default_factory=dict)


class Failed(Exception):
    """The situation could not be set up: a fault of the test or of the machine, never of a profiler."""


# `\(unsigned long\)` in a pattern.
_PARAMETERS = re.compile(r"\\\([^\\();|]+\\\)(?!::)")


@dataclasses.dataclass
class Bench:
    """The folder in which a situation is built and run."""

    situation: Situation
    folder: pathlib.Path

    def fill(self, text):
        return text.replace("{src}", str(PROGRAMS)).replace("{dir}", str(self.folder))

    def command(self, text):
        return shlex.split(self.fill(text))

    def chain_for(self, tool):
        """The pattern of the true stacks, as the tool shows names."""
        if tool.shows_parameters:
            return self.situation.chain
        return self.situation.short_chain or _PARAMETERS.sub(lambda m: f"(?:{m[0]})?", self.situation.chain)

    def build(self):
        self.folder.mkdir(parents=True)
        for text in self.situation.build:
            self.do(text)

    def do(self, text):
        ended = subprocess.run(self.command(text), cwd=self.folder, capture_output=True, text=True, errors="replace",
                               timeout=300, stdin=subprocess.DEVNULL)
        if ended.returncode != 0:
            raise Failed(f"{text}: {ended.stderr.strip()[-600:] or ended.stdout.strip()[-600:]}")
        return ended.stdout

    def started(self):
        return self.situation.start(self) if self.situation.start else self.process(self.command(self.situation.run))

    @contextlib.contextmanager
    def process(self, command, innermost=False, **how):
        """A program that has said READY; its pid, or that of its only descendant without children."""
        with subprocess.Popen(command, cwd=self.folder, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, **how) as child:
            pid = child.pid
            try:
                _wait_for_ready(child)
                pid = _innermost(child.pid) if innermost else child.pid
                yield pid
            finally:
                for number in {pid, child.pid}:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(number, 9)


def _wait_for_ready(child, seconds=60):
    said = b""
    end = time.monotonic() + seconds
    while b"READY\n" not in said:
        ready, _, _ = select.select([child.stdout], [], [], max(0.0, end - time.monotonic()))
        more = os.read(child.stdout.fileno(), 4096) if ready else b""
        if not more:
            raise Failed(f"{child.args} did not say READY, but {said!r}")
        said += more


def _innermost(pid):
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return _innermost(int(children[0])) if children else pid


def line_of(file, marker):
    text = (PROGRAMS / file).read_text(encoding="utf-8").splitlines()
    found = [number for number, line in enumerate(text, 1) if f"[{marker}]" in line]
    if len(found) != 1:
        raise Failed(f"{file} has {len(found)} lines marked [{marker}]")
    return found[0]


def with_lines(pattern):
    """<file marker> made into file:line."""
    return re.sub(r"<(\S+) ([^>]+)>", lambda m: re.escape(f"{m[1]}:{line_of(m[1], m[2])}"), pattern)
