#!/usr/bin/env python3
import random
import unittest

import stats


class MedianWithInterval(unittest.TestCase):
    def test_one_value_is_its_own_interval(self):
        self.assertEqual(stats.median_with_interval([3.0]), stats.Figure(3.0, 3.0, 3.0, 1))

    def test_few_values_show_their_range(self):
        self.assertEqual(stats.median_with_interval([5, 1, 2]), stats.Figure(2, 1, 5, 3))

    def test_the_same_values_give_the_same_interval_in_any_order(self):
        values = [random.Random(7).gauss(10, 1) for _ in range(30)]
        self.assertEqual(stats.median_with_interval(values), stats.median_with_interval(values[::-1]))

    def test_the_interval_covers_the_true_median_about_95_times_of_100(self):
        source = random.Random(3)
        covered = 0
        for _ in range(300):
            figure = stats.median_with_interval([source.expovariate(1) for _ in range(30)], resamples=400)
            covered += figure.low <= 0.6931 <= figure.high
        self.assertGreater(covered / 300, 0.90)
        self.assertLess(covered / 300, 0.995)

    def test_no_values_are_an_error(self):
        with self.assertRaises(ValueError):
            stats.median_with_interval([])


class PairedChange(unittest.TestCase):
    def test_a_drift_that_both_of_a_pair_share_cancels(self):
        before = [100 * (1 + 0.1 * i) for i in range(12)]
        figure = stats.paired_change(before, [1.02 * value for value in before])
        self.assertAlmostEqual(figure.median, 0.02)
        self.assertAlmostEqual(figure.low, 0.02)
        self.assertAlmostEqual(figure.high, 0.02)

    def test_a_against_a_includes_zero(self):
        source = random.Random(5)
        a = [source.gauss(100, 2) for _ in range(40)]
        b = [source.gauss(100, 2) for _ in range(40)]
        self.assertFalse(stats.paired_change(a, b).excludes(0))

    def test_lists_of_different_length_are_no_pairs(self):
        with self.assertRaises(ValueError):
            stats.paired_change([1, 2], [1])


class Interleaved(unittest.TestCase):
    def test_each_block_holds_each_condition_once(self):
        for order in stats.interleaved("abcd", 20):
            self.assertEqual(sorted(order), list("abcd"))

    def test_orders_differ_between_blocks_and_repeat_between_runs(self):
        orders = stats.interleaved("abcd", 20)
        self.assertGreater(len({tuple(order) for order in orders}), 5)
        self.assertEqual(orders, stats.interleaved("abcd", 20))


class Rest(unittest.TestCase):
    def test_slope_of_a_line(self):
        self.assertAlmostEqual(stats.slope([0, 1, 2, 3], [5, 7, 9, 11]), 2)

    def test_scaling_by_a_negative_factor_keeps_the_interval_in_order(self):
        self.assertEqual(stats.Figure(1, 0, 3, 9).scaled(-1), stats.Figure(-1, -3, 0, 9))

    def test_table_lines_up(self):
        self.assertEqual(stats.table([["a", "1"], ["bbb", "22"]], ["x", "n"]),
                         "x     n\n-------\na     1\nbbb  22")


if __name__ == "__main__":
    unittest.main()
