"""Stacks with Python frames: of our profiles and of other profilers' files, and what is impossible in them."""

import collections
import dataclasses
import functools
import os
import re
from typing import NamedTuple

from pprof_file import PprofFile


class Frame(NamedTuple):
    name: str            # of Python functions as the profile says it: qualified, or plain
    file: str = ""       # of Python functions: without folders
    python: bool = False
    line: int = 0

    @property
    def plain(self):
        """co_name: the last part of a qualified name."""
        return self.name.rpartition(".")[2]


@dataclasses.dataclass
class Stack:
    """Frames root first, without the leaf that names a wait."""
    frames: list
    weight: int = 1      # how many samples and waits, or what the format counts
    kind: str = ""       # of the wait
    cpu: int = 0         # nanoseconds, where the format has them
    wait: int = 0
    labels: dict = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def python(self):
        return [frame for frame in self.frames if frame.python]

    @functools.cached_property
    def names(self):
        """Plain names of Python's functions."""
        return [frame.plain for frame in self.python]

    @functools.cached_property
    def different_names(self):
        return frozenset(self.names)

    def has(self, function):
        return function in self.different_names

    @functools.cached_property
    def cut(self):
        return any(is_cut(frame) for frame in self.frames)

    def text(self):
        frames = ";".join(f"{f.name} ({f.file}:{f.line})" if f.python else f.name for f in self.frames)
        labels = {key: value for key, value in self.labels.items() if key not in ("wait",)}
        return f"x{self.weight} {self.kind or 'cpu'} {self.wait / 1e6:.3f}+{self.cpu / 1e6:.3f} ms {labels} {frames}"


class Stacks(list):
    def where(self, wanted):
        return Stacks(stack for stack in self if wanted(stack))

    def with_function(self, name):
        return self.where(lambda stack: stack.has(name))

    def of_kind(self, *kinds):
        return self.where(lambda stack: stack.kind in kinds)

    def on_cpu(self):
        return self.where(lambda stack: not stack.kind)

    @property
    def weight(self):
        return sum(stack.weight for stack in self)

    @property
    def cpu(self):
        return sum(stack.cpu for stack in self)

    @property
    def wait(self):
        return sum(stack.wait for stack in self)

    def text(self, most=8):
        rows = sorted(self, key=lambda stack: -(stack.wait + stack.cpu + stack.weight))
        return "\n".join(["", *(row.text() for row in rows[:most]), f"({len(rows)} stacks)"])


def is_cut(frame):
    """It says itself that something is not known."""
    return frame.name.startswith(("[truncated", "[python:"))


# ---------------------------------------------------------------------------------------------
# Readers.

def from_pprof(path):
    pprof = path if isinstance(path, PprofFile) else PprofFile(path)
    frames_of = {identifier: _frames_of(pprof, location) for identifier, location in pprof.locations.items()}
    found = Stacks()
    for sample in pprof.samples:
        labels = pprof.labels(sample)
        value = dict(zip((name.split("/")[0] for name in pprof.types), sample.value))
        frames = []
        for identifier in reversed(sample.location_id):
            frames += frames_of[identifier]
        kind = labels.get("wait", "")
        if kind and frames:
            frames.pop()
        found.append(Stack(frames, value["cpu_samples"] + value.get("waits", 0), kind, value["cpu"],
                           value.get("wait", 0), labels))
    return found


def _frames_of(pprof, location):
    module = pprof.module_of(location)
    python = module == "[python]"
    frames = []
    for line in reversed(location.line):
        function = pprof.functions[line.function_id]
        file = os.path.basename(pprof.strings[function.filename]) if python else ""
        name = pprof.strings[function.name]
        frames.append(Frame(name, file, python and not name.startswith("["), line.line))
    return frames or [Frame(f"[{os.path.basename(module)}]")]


FRAME = re.compile(r"^(?P<name>.+) \((?P<file>[^():]+\.py|<[^()]+>)(?::(?P<line>\d+))?\)$")


def folded_frame(text):
    """`name (file.py:12)` is Python, anything else is not; of ours and of py-spy's."""
    match = FRAME.match(text)
    if not match:
        return Frame(text)
    return Frame(match["name"], os.path.basename(match["file"]), True, int(match["line"] or 0))


def from_folded(text, leading=0):
    """Ours (leading=1: the thread) and py-spy's `--format raw`."""
    found = Stacks()
    for line in text.splitlines():
        stack, _, weight = line.rpartition(" ")
        frames = [folded_frame(part) for part in stack.split(";")[leading:]]
        kind = ""
        if frames and frames[-1].name.startswith("[wait: "):
            kind = frames.pop().name[len("[wait: "):-1].partition(" ")[0]
        found.append(Stack(frames, int(weight), kind))
    return found


def from_austin(text):
    """`P1;T2;file:function:line;... microseconds`, one line a sample.

    What it could not read it calls INVALID: it says so itself, as our cut stacks do.
    """
    found = Stacks()
    for line in text.splitlines():
        if not line.startswith("P"):
            continue
        stack, _, metric = line.rpartition(" ")
        frames = []
        for part in stack.split(";")[2:]:
            words = part.rsplit(":", 2)
            if len(words) == 3 and words[2].isdigit():
                frames.append(Frame(words[1], os.path.basename(words[0]), True, int(words[2])))
            else:
                frames.append(Frame("[truncated: invalid]" if "INVALID" in part else part))
        found.append(Stack(frames, 1, labels={"microseconds": int(metric) if metric.isdigit() else 0}))
    return found


# ---------------------------------------------------------------------------------------------

class LegalPairs:
    """The table of python_targets/legal_pairs.py, and what of a stack is not in it.

    Native frames between are passed over. Where a stack is cut or a frame could not be named nothing is known of what is missing: neither its pair
    nor, if the root is missing, its root is judged.
    """

    def __init__(self, table):
        self.file = table["file"]
        self.roots = set(table["roots"])
        self.pairs = {(caller, callee) for caller, callees in table["pairs"].items() for callee in callees}
        self.known = {name for pair in self.pairs for name in pair} | self.roots
        self.through_c = {tuple(pair.split()): names for pair, names in table["through_c"].items()}

    def key(self, frame):
        return frame.plain if frame.file == self.file else f"{frame.file}:{frame.plain}"

    def problems(self, frames):
        found = []
        caller, cut = None, False
        for frame in frames:
            if is_cut(frame):
                caller, cut = None, True
            if not frame.python:
                continue
            key = self.key(frame)
            if key not in self.known:
                found.append(f"unknown {key}")
            elif caller is not None and (caller, key) not in self.pairs:
                found.append(f"{caller} -> {key}")
            elif caller is None and not cut and key not in self.roots:
                found.append(f"root {key}")
            caller, cut = key, False
        return found

    def misplaced(self, frames):
        """Pairs between which a function of C has to stand, and does not."""
        found = []
        caller, between = None, []
        for frame in frames:
            if is_cut(frame):
                caller = None
            if not frame.python:
                between.append(frame.name)
                continue
            wanted = self.through_c.get((caller, self.key(frame)))
            if wanted and not any(is_named(name, wanted) for name in between):
                found.append(f"{caller} -> {between} -> {self.key(frame)}")
            caller, between = self.key(frame), []
        return found


def is_named(symbol, wanted):
    """Compilers make parts of functions: list_sort_impl, list_sort.part.0."""
    return any(symbol.startswith(name) for name in wanted)


@dataclasses.dataclass
class Judgement:
    stacks: int = 0         # weighted: samples and waits
    distinct: int = 0
    without_python: int = 0
    cut: int = 0
    impossible: int = 0
    deepest: int = 0
    examples: collections.Counter = dataclasses.field(default_factory=collections.Counter)

    @property
    def impossible_share(self):
        """Of those with Python frames; None where there are none."""
        judged = self.stacks - self.without_python
        return self.impossible / judged if judged else None

    def text(self):
        return (f"{self.stacks} stacks ({self.distinct} different, {self.without_python} without Python frames, "
                f"{self.cut} cut, deepest {self.deepest}), {self.impossible} impossible: "
                f"{self.examples.most_common(6)}")


def judge(stacks, legal):
    found = Judgement()
    distinct = set()
    for stack in stacks:
        if not stack.weight or not stack.frames:
            continue
        found.stacks += stack.weight
        python = stack.python
        distinct.add(tuple(frame[:3] for frame in stack.frames))
        found.deepest = max(found.deepest, len(python))
        if stack.cut:
            found.cut += stack.weight
        if not python:
            found.without_python += stack.weight
            continue
        problems = legal.problems(stack.frames)
        if problems:
            found.impossible += stack.weight
            found.examples.update(dict.fromkeys(problems, stack.weight))
    found.distinct = len(distinct)
    return found
