#!/usr/bin/env python3
"""The judge of the situations, on stacks made by hand: what is wrong has to be called wrong."""

import unittest

from judge import Row, judge
from situation import CHAIN, MARK, Situation

TRUE = ("_start", "__libc_start_main_impl", "__libc_start_call_main", "main", "outer", "middle", "leaf")


def rows(*stacks):
    return [Row(tuple(frames), tuple(f"{name}@chain.c:{number}" for number, name in enumerate(frames)), count)
            for frames, count in stacks]


class Judge(unittest.TestCase):
    plain = Situation("plain", (), CHAIN)

    def test_the_true_chain_is_right_with_and_without_kernel_frames(self):
        self.assertTrue(judge(self.plain, rows((TRUE, 990), ((*TRUE, "asm_sysvec_[k]", "irq_[k]"), 10))).right)

    def test_names_of_libc_may_be_missing(self):
        self.assertTrue(judge(self.plain, rows((("_start", "[libc.so.6]", "[libc.so.6+0x271c9]", *TRUE[3:]), 100))).right)

    def test_more_than_one_wrong_stack_in_a_hundred_is_wrong(self):
        for wrong in (TRUE[1:], TRUE[:-1], (*TRUE[:4], *TRUE[5:]), (*TRUE, "leaf"), (*TRUE[:5], "[x+0x1]", "leaf"), ()):
            with self.subTest(wrong):
                self.assertTrue(judge(self.plain, rows((TRUE, 990), (wrong, 10))).right)
                self.assertFalse(judge(self.plain, rows((TRUE, 980), (wrong, 20))).right)

    def test_a_mark_counts_only_where_the_situation_allows_it(self):
        marked = ("[truncated: stack copy ended]", "middle", "leaf")
        self.assertFalse(judge(self.plain, rows((marked, 100))).right)
        allows = Situation("allows", (), CHAIN, marked=rf"{MARK};middle;leaf")
        self.assertTrue(judge(allows, rows((marked, 100))).right)
        self.assertIn("marked", judge(allows, rows((marked, 100))).text)
        self.assertFalse(judge(allows, rows((("[truncated: stack copy ended]", "leaf"), 100))).right)
        self.assertFalse(judge(allows, rows((("middle", "leaf"), 100))).right)

    def test_lines_are_compared_with_the_marks_in_the_source(self):
        for marker, right in (("leaf", True), ("main", False)):
            situation = Situation("lines", (), CHAIN, lines=rf".*;leaf@<chain.c {marker}>")
            found = [Row(TRUE, (*TRUE[:-1], "leaf@chain.c:5"), 100)]
            self.assertEqual(judge(situation, found).right, right)

    def test_too_few_samples_prove_nothing(self):
        self.assertFalse(judge(self.plain, rows((TRUE, 49))).right)

    def test_what_has_to_occur_has_to_occur(self):
        situation = Situation("seen", (), CHAIN, seen=(("other$", 0.1),))
        self.assertFalse(judge(situation, rows((TRUE, 100))).right)


if __name__ == "__main__":
    unittest.main()
