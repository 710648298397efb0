"""samply: its profile is the Firefox Profiler's JSON; names come from the server that `samply load` starts."""

import contextlib
import gzip
import json
import os
import re
import shutil
import subprocess
import urllib.request

from judge import KERNEL, Row
from tools import SECONDS, ToolFailed, environment_of, run_tool


class Samply:
    name = "samply"
    shows_parameters = True
    command = f"samply record --save-only --rate 999 --duration {SECONDS} --pid PID, names from samply load"

    def missing(self):
        return None if shutil.which("samply") else "not installed"

    def rows(self, pid, bench, surroundings, seconds):
        file = bench.folder / "samply.json.gz"
        file.unlink(missing_ok=True)
        run_tool(["samply", "record", "--save-only", "--rate", "999", "--duration", seconds, "--output", file, "--pid", pid],
                 surroundings, 120)
        if not file.exists():
            raise ToolFailed("samply wrote no file")
        with gzip.open(file) as content:
            profile = json.load(content)
        try:
            with _server(file, surroundings) as url:
                return list(_rows(profile, url))
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ToolFailed(f"its profile reads otherwise than expected: {error!r}") from error


@contextlib.contextmanager
def _server(file, surroundings):
    """The base of the symbolication API."""
    command = [*surroundings.prefix, "samply", "load", "--no-open", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment_of(surroundings),
                          stdin=subprocess.DEVNULL, text=True) as server:
        try:
            for line in server.stdout:
                found = re.search(r"(http://127\.0\.0\.1:\d+(?:/[0-9a-z]+)?)/?", line.replace("%3A", ":").replace("%2F", "/"))
                if found and re.search(r":\d+/[0-9a-z]{8,}", found[1]):
                    break
            else:
                raise ToolFailed("samply load told no address")
            yield found[1]
        finally:
            server.kill()


def _rows(profile, url):
    shared = profile.get("shared", {})
    for thread in profile["threads"]:
        strings = thread.get("stringArray") or shared["stringArray"]
        tables = {name: thread.get(name) or shared.get(name) for name in ("stackTable", "frameTable", "funcTable", "resourceTable")}
        shown = _shown_frames(profile["libs"], tables, strings, url)
        weights = thread["samples"].get("weight") or [1] * len(thread["samples"]["stack"])
        for stack, weight in zip(thread["samples"]["stack"], weights):
            if stack is None or not weight:
                continue
            frames = []
            while stack is not None:
                frames = shown[tables["stackTable"]["frame"][stack]] + frames
                stack = tables["stackTable"]["prefix"][stack]
            yield Row(tuple(name for name, _ in frames), tuple(f"{name}@{place}" for name, place in frames), weight)


def _shown_frames(libraries, tables, strings, url):
    """Each frame of the table as its functions, outermost first: (name, file:line)."""
    frames, functions, resources = tables["frameTable"], tables["funcTable"], tables["resourceTable"]
    known = {}
    asked = []
    for number, function in enumerate(frames["func"]):
        address, resource = frames["address"][number], functions["resource"][function]
        library = resources["lib"][resource] if resource is not None and resource >= 0 else None
        name = strings[functions["name"][function]]
        if library is None or address is None or address < 0:
            known[number] = [("[unknown]" if re.fullmatch(r"0x[0-9a-f]+", name) else name, "")]
        else:
            asked.append((number, library, address, name))
    answers = _symbolicated(libraries, [(library, address) for _, library, address, _ in asked], url)
    for (number, library, _, name), answer in zip(asked, answers):
        kernel = KERNEL if libraries[library]["name"].startswith("[kernel") else ""
        found = answer or [("[" + os.path.basename(libraries[library]["path"]).strip("[]") + "]", "")]
        if not answer and not re.fullmatch(r"0x[0-9a-f]+", name):
            found = [(name, "")]
        known[number] = [(function + kernel, place) for function, place in found]
    return known


def _symbolicated(libraries, places, url):
    if not places:
        return []
    question = {"memoryMap": [[library["debugName"], library["breakpadId"]] for library in libraries],
                "stacks": [[[library, address] for library, address in places]]}
    request = urllib.request.Request(f"{url}/symbolicate/v5", json.dumps(question).encode())
    with urllib.request.urlopen(request, timeout=60) as answer:
        rows = json.load(answer)["results"][0]["stacks"][0]
    return [_functions(row) for row in rows]


def _functions(row):
    if "function" not in row:
        return []
    frames = [*row.get("inlines", ()), row]
    return [(frame.get("function", "[unknown]"), f"{os.path.basename(frame.get('file', ''))}:{frame.get('line', 0)}")
            for frame in reversed(frames)]
