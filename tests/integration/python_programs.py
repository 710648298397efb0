"""The programs of python_targets/, started and told what to do."""

import json
import subprocess

import whyslow_testing as t
from python_interpreters import TARGETS
from python_stacks import LegalPairs


class PythonProgram(t.Child):
    """Plays when told to, tells its truth, goes on when told to."""

    def __init__(self, python, name, *arguments, env=None):
        super().__init__([python.path, str(TARGETS / name), *map(str, arguments)], stdin=subprocess.PIPE, env=env)
        self.pid = int(self.wait_for_line("READY")[1])

    def tell(self, word):
        self.process.stdin.write(word.encode() + b"\n")
        self.process.stdin.flush()

    def begin(self):
        self.tell("go")

    def truth(self):
        """At the end of the play."""
        self.wait_for_line("TRUTH")
        return self.said("TRUTH")

    def play(self):
        self.begin()
        return self.truth()

    def said(self, word):
        line = next(line for line in self.lines if line.startswith(word + " "))
        return json.loads(line.partition(" ")[2])


class LegalProgram(PythonProgram):
    def __init__(self, python, **how):
        super().__init__(python, "legal_pairs.py", **how)
        self.legal = LegalPairs(self.said("TABLE"))
