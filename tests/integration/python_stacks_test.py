#!/usr/bin/env python3
"""What judges Python stacks is right itself: wrong stacks are found, right ones are not; and the table that it goes
by is what each interpreter reports of its own calls."""

import json
import subprocess
import unittest

import python_interpreters
from python_stacks import Frame, LegalPairs, Stack, from_austin, from_folded, folded_frame, judge

TABLE = {"file": "own.py", "roots": ["<module>", "threading.py:_bootstrap"],
         "pairs": {"<module>": ["main"], "main": ["left", "right"], "left": ["right"], "right": ["left"],
                   "threading.py:_bootstrap": ["left"], "sorts": ["key"], "key": ["sorts"]},
         "through_c": {"sorts key": ["list_sort"]}}


def frames(text):
    return [folded_frame(part) if "(" in part or part.startswith("[") else Frame(part, "own.py", True)
            for part in text.split(";")]


class Pairs(unittest.TestCase):
    def problems(self, text):
        return LegalPairs(TABLE).problems(frames(text))

    def test_a_stack_of_legal_pairs_is_right(self):
        self.assertEqual(self.problems("<module>;main;left;right;left"), [])

    def test_a_pair_that_is_not_in_the_table_is_found(self):
        self.assertEqual(self.problems("<module>;main;left;left"), ["left -> left"])
        self.assertEqual(self.problems("<module>;left;main"), ["<module> -> left", "left -> main"])

    def test_a_function_that_was_left_out_is_found(self):
        self.assertEqual(self.problems("<module>;right"), ["<module> -> right"])

    def test_a_stack_that_begins_in_the_middle_is_found(self):
        self.assertEqual(self.problems("left;right"), ["root left"])

    def test_a_function_that_the_table_does_not_know_is_found(self):
        self.assertEqual(self.problems("<module>;main;elsewhere"), ["unknown elsewhere"])

    def test_native_frames_between_are_passed_over(self):
        self.assertEqual(self.problems("[python3+0x1];<module>;[python3+0x2];main;[libc.so.6+0x3]"), [])
        self.assertEqual(self.problems("<module>;[python3+0x2];left"), ["<module> -> left"])

    def test_across_a_cut_nothing_is_said(self):
        self.assertEqual(self.problems("[truncated: stack not copied];left;right"), [])
        self.assertEqual(self.problems("<module>;[truncated: stack not copied];left;right"), [])
        self.assertEqual(self.problems("<module>;[truncated: stack not copied];left;left"), ["left -> left"])
        self.assertEqual(self.problems("<module>;main;[python: code is gone];left"), [])

    def test_the_same_name_in_another_file_is_another_function(self):
        self.assertEqual(self.problems("main (other.py)"), ["unknown other.py:main"])
        self.assertEqual(self.problems("_bootstrap (threading.py:3);left"), [])

    def test_qualified_names_are_known_by_their_last_part(self):
        self.assertEqual(self.problems("<module> (own.py);C.main (own.py);f.<locals>.left (own.py:7)"), [])


class Places(unittest.TestCase):
    def misplaced(self, text):
        return LegalPairs(TABLE).misplaced(frames(text))

    def test_the_function_of_c_stands_between_its_caller_and_its_callback(self):
        native = Frame("list_sort_impl")
        right = [*frames("sorts"), native, *frames("key")]
        self.assertEqual(LegalPairs(TABLE).misplaced(right), [])
        for wrong in ([native, *frames("sorts;key")], [*frames("sorts;key"), native]):
            self.assertEqual(LegalPairs(TABLE).misplaced(wrong), ["sorts -> [] -> key"])

    def test_other_pairs_are_not_looked_at(self):
        self.assertEqual(self.misplaced("<module>;main;key;sorts"), [])


class Judging(unittest.TestCase):
    def test_stacks_count_as_often_as_they_were_seen(self):
        stacks = [Stack(frames("<module>;main"), 5), Stack(frames("<module>;left"), 3), Stack(frames("[k+0x1]"), 2),
                  Stack(frames("[truncated: x];left"), 1), Stack([], 7)]
        found = judge(stacks, LegalPairs(TABLE))
        self.assertEqual((found.stacks, found.distinct, found.without_python, found.cut, found.impossible),
                         (11, 4, 2, 1, 3))
        self.assertEqual(found.examples, {"<module> -> left": 3})
        self.assertEqual(found.deepest, 2)
        self.assertAlmostEqual(found.impossible_share, 3 / 9)

    def test_where_nothing_has_python_frames_nothing_is_right(self):
        found = judge([Stack(frames("[k+0x1]"), 2)], LegalPairs(TABLE))
        self.assertIsNone(found.impossible_share)


class Reading(unittest.TestCase):
    def test_python_frames_of_folded_stacks(self):
        self.assertEqual(folded_frame("f (a.py)"), Frame("f", "a.py", True))
        self.assertEqual(folded_frame("C.f (dir/a.py:12)"), Frame("C.f", "a.py", True, 12))
        self.assertEqual(folded_frame("g.<locals>.<lambda> (<string>:1)"),
                         Frame("g.<locals>.<lambda>", "<string>", True, 1))
        self.assertTrue(folded_frame("_find (<frozen importlib._bootstrap>:3)").python)

    def test_other_frames_are_native(self):
        for text in ("main", "f(int)", "operator()(int) const", "[libc.so.6+0x1234]", "schedule_[k]", "f (.cold)"):
            self.assertEqual(folded_frame(text), Frame(text))

    def test_waits_are_kept_apart(self):
        stack, = from_folded("python3;f (a.py);[wait: socket 127.0.0.1:80 http] 12\n", leading=1)
        self.assertEqual((stack.kind, stack.weight, stack.names), ("socket", 12, ["f"]))

    def test_austin_tells_process_and_thread_first(self):
        text = "# mode: wall\nP7;T0:9;/x/a.py:<module>:3;/x/a.py:f:1 100\n"
        self.assertEqual(from_austin(text)[0].frames, [Frame("<module>", "a.py", True, 3), Frame("f", "a.py", True, 1)])
        self.assertTrue(from_austin("P7;T0:9;:INVALID:;/x/a.py:f:1 100\n")[0].cut)


class TheTable(unittest.TestCase):
    def test_each_interpreter_reports_these_pairs_and_no_others(self):
        for python in python_interpreters.found():
            with self.subTest(python.name):
                ended = subprocess.run([python.path, python_interpreters.TARGETS / "legal_pairs.py", "--self-check"],
                                       capture_output=True, text=True, timeout=60)
                line, = (row for row in ended.stdout.splitlines() if row.startswith("SELF-CHECK "))
                self.assertEqual(json.loads(line.partition(" ")[2]), {"not in the table": [], "never seen": []})


if __name__ == "__main__":
    unittest.main()
