#!/usr/bin/env python3
"""The comparison with perf is itself tested: it finds what differs and accepts what chance explains."""

import random
import unittest
from collections import Counter

import perf_flat


class Disagreements(unittest.TestCase):
    SHARES = {("a", 1): 0.5, ("a", 2): 0.3, ("libc", 7): 0.15, ("libc", 9): 0.05}

    def draw(self, seed, count=4000, shares=None):
        shares = shares or self.SHARES
        return Counter(random.Random(seed).choices(list(shares), list(shares.values()), k=count))

    def test_two_samplings_of_one_execution_agree(self):
        wrong = sum(bool(perf_flat.disagreements(self.draw(seed), self.draw(seed + 1000))) for seed in range(200))
        self.assertEqual(wrong, 0)

    def test_a_share_moved_by_six_points_is_found(self):
        moved = {("a", 1): 0.44, ("a", 2): 0.36, ("libc", 7): 0.15, ("libc", 9): 0.05}
        found = sum(bool(perf_flat.disagreements(self.draw(seed), self.draw(seed + 1000, shares=moved)))
                    for seed in range(50))
        self.assertGreater(found, 40)

    def test_a_function_that_only_one_of_them_sees_is_found(self):
        self.assertEqual(len(perf_flat.disagreements(Counter({("a", 1): 900, ("a", 2): 100}),
                                                     Counter({("a", 1): 1000}))), 2)


class Lines(unittest.TestCase):
    def test_mappings_and_samples_are_told_apart(self):
        mapped = perf_flat.MMAP.search(" redis 0/0 PERF_RECORD_MMAP2 12/12: [0x5500(0x1000) @ 0x2000 fe:00 9 0]: r-xp /a b/c")
        self.assertEqual(mapped.groups(), ("12", "5500", "1000", "0x2000", "/a b/c"))
        sample = perf_flat.SAMPLE.match("my server  12/13   cpu-clock:ppp:      5623 ")
        self.assertEqual(sample.groups(), ("12", "13", "5623"))


if __name__ == "__main__":
    unittest.main()
