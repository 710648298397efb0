"""Profilers for CPython beside whyslow: how they are installed, called, and what their files say."""

import pathlib
import subprocess
import sys

import measuring

REQUIREMENTS = pathlib.Path(__file__).resolve().parent / "profilers.txt"
FREQUENCY = 99           # of whyslow; the others take round figures
OTHERS_FREQUENCY = 100


def stacks_module():
    """The tests' reader of everyone's stacks."""
    folder = str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "integration")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    import python_stacks
    return python_stacks


def installed(bench):
    """The folder with py-spy and austin: a virtual environment of its own, made when it is not there."""
    folder = bench.build / "profilers"
    done = folder / "installed"
    if not done.exists() or done.read_text() != REQUIREMENTS.read_text():
        measuring.say("  installing py-spy and austin")
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True, stdout=sys.stderr)
        subprocess.run([folder / "bin" / "pip", "install", "-q", "--disable-pip-version-check", "--no-deps",
                        "--require-hashes", "-r", REQUIREMENTS], check=True, stdout=sys.stderr)
        done.write_text(REQUIREMENTS.read_text())
    return folder / "bin"


# Each returns a function (pid, folder) -> command line, as those of measuring.Bench.

def by_py_spy(programs, frequency, *options):
    return lambda pid, folder: [programs / "py-spy", "record", "--pid", pid, "--subprocesses", "--idle", "--rate",
                                frequency, "--format", "raw", "--output", folder / "p.raw", *options]


def by_austin(programs, frequency, *options):
    return lambda pid, folder: [programs / "austin", "--pid", pid, "--children", "--interval",
                                f"{1_000_000 // frequency}us", "--output", folder / "p.austin", *options]


def conditions_of(bench, frequency=FREQUENCY, others_frequency=OTHERS_FREQUENCY):
    programs = installed(bench)
    return bench.chosen({
        "none": None, "none again": None,
        "whyslow": bench.by_whyslow(frequency, (".pb.gz",), mode="wall"),
        "whyslow --bpf no": bench.by_whyslow(frequency, (".pb.gz",), "--bpf", "no", mode="wall"),
        "py-spy --idle": by_py_spy(programs, others_frequency),
        "py-spy --idle --nonblocking": by_py_spy(programs, others_frequency, "--nonblocking"),
        "austin": by_austin(programs, others_frequency)})


def stacks_of(folder, others_frequency=OTHERS_FREQUENCY):
    """What a profiler wrote, whichever it was: (stacks, seconds of wall time that a stack stands for)."""
    stacks = stacks_module()
    if (folder / "p.pb.gz").exists():
        return stacks.from_pprof(folder / "p.pb.gz"), lambda stack: (stack.cpu + stack.wait) / 1e9
    if (folder / "p.raw").exists():
        text = (folder / "p.raw").read_text(encoding="utf-8", errors="replace")
        return stacks.from_folded(text), lambda stack: stack.weight / others_frequency
    text = (folder / "p.austin").read_text(encoding="utf-8", errors="replace")
    return stacks.from_austin(text), lambda stack: stack.labels["microseconds"] / 1e6
