"""The CPythons of this machine that Python profiles are tested with.

Those in WHYSLOW_PYTHONS, if it is set (paths, separated by colons); else pyenv's and the system's. Each version once.
"""

import dataclasses
import functools
import os
import pathlib
import subprocess

TARGETS = pathlib.Path(__file__).resolve().parent / "python_targets"
OLDEST, NEWEST = (3, 8), (3, 15)

ASK = """
import platform, sys, sysconfig
print(platform.python_implementation(), *sys.version_info[:3], int(bool(sysconfig.get_config_var("Py_ENABLE_SHARED"))),
      int(bool(sysconfig.get_config_var("Py_GIL_DISABLED"))), sys.executable)
"""


@dataclasses.dataclass(frozen=True)
class Python:
    path: str
    version: tuple
    shared: bool         # the interpreter is in libpython
    free_threaded: bool

    @property
    def name(self):
        number = ".".join(map(str, self.version)) + ("t" if self.free_threaded else "")
        return f"{number} {'pyenv' if '.pyenv' in self.path else self.path}"

    @property
    def test_name(self):
        return "Python" + "_".join(map(str, self.version)) + ("t" if self.free_threaded else "") + (
            "" if ".pyenv" in self.path else "_" + pathlib.Path(self.path).parent.parent.name)

    def __str__(self):
        return self.name


def candidates():
    named = os.environ.get("WHYSLOW_PYTHONS")
    if named:
        return [pathlib.Path(path) for path in named.split(":") if path]
    root = pathlib.Path(os.environ.get("PYENV_ROOT") or pathlib.Path.home() / ".pyenv")
    return [*sorted(root.glob("versions/*/bin/python3")), pathlib.Path("/usr/bin/python3")]


def ask(path):
    try:
        ended = subprocess.run([path, "-c", ASK], capture_output=True, text=True, timeout=30)
    except OSError:
        return None
    words = ended.stdout.split(None, 6)
    if ended.returncode or not words or words[0] != "CPython":
        return None
    # Where a version manager's link leads to: a name in PATH may be a script.
    return Python(words[6].strip(), tuple(map(int, words[1:4])), words[4] == "1", words[5] == "1")


@functools.lru_cache(maxsize=None)
def found():
    """Oldest first."""
    asked = [python for python in map(ask, candidates()) if python is not None]
    fitting = {(python.version, python.path): python for python in asked
               if OLDEST <= python.version[:2] <= NEWEST}
    return tuple(python for _, python in sorted(fitting.items()))


def say():
    print("Python:", ", ".join(python.name for python in found()) or "none", flush=True)


if __name__ == "__main__":
    say()
