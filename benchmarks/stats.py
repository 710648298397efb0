"""The statistics of the benchmarks: medians with 95 % intervals, paired comparisons, interleaved orders.

Nothing is assumed about distributions: intervals are percentile bootstraps, with a fixed seed, so that the
same measurements always give the same figures.
"""

import dataclasses
import random
import statistics

RESAMPLES = 4000


@dataclasses.dataclass(frozen=True)
class Figure:
    """A median, the 95 % interval of it, and how many values it rests on."""
    median: float
    low: float
    high: float
    count: int

    def scaled(self, factor):
        low, high = sorted((self.low * factor, self.high * factor))
        return Figure(self.median * factor, low, high, self.count)

    def text(self, unit="", digits=2):
        if self.count == 1:
            return f"{self.median:.{digits}f}{unit} (one value)"
        return f"{self.median:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]{unit}"

    def excludes(self, value):
        return self.low > value or self.high < value


def median_with_interval(values, resamples=RESAMPLES):
    """The median and its 95 % percentile-bootstrap interval. Fewer than six values have no 95 % interval
    (all lie on one side with chance 2 / 2^n > 5 %): the range is given, which is then the honest answer."""
    values = sorted(values)
    if not values:
        raise ValueError("no values")
    middle = statistics.median(values)
    if len(values) < 6:
        return Figure(middle, values[0], values[-1], len(values))
    source = random.Random(len(values))
    medians = sorted(statistics.median(source.choices(values, k=len(values))) for _ in range(resamples))
    return Figure(middle, medians[int(0.025 * resamples)], medians[int(0.975 * resamples) - 1], len(values))


def paired_change(before, after):
    """The relative change of each pair, (after - before) / before, as a Figure: 0.02 is two percent more."""
    if len(before) != len(after):
        raise ValueError(f"{len(before)} values before, {len(after)} after: they are no pairs")
    return median_with_interval([(b - a) / a for a, b in zip(before, after)])


def interleaved(conditions, blocks, seed=1):
    """Every condition once in each block, in an order drawn anew: what drifts hits all of them alike."""
    source = random.Random(seed)
    orders = []
    for _ in range(blocks):
        order = list(conditions)
        source.shuffle(order)
        orders.append(order)
    return orders


def slope(times, values):
    """Least squares: by how much the value grows in one unit of time."""
    middle = statistics.fmean(times)
    spread = sum((t - middle) ** 2 for t in times)
    if spread == 0:
        raise ValueError("a slope wants at least two times")
    return sum((t - middle) * v for t, v in zip(times, values)) / spread


def table(rows, header):
    """Columns as wide as they need to be; the first is text, the others figures."""
    rows = [list(map(str, row)) for row in [header, *rows]]
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    lines = ["  ".join([row[0].ljust(widths[0])] + [cell.rjust(w) for cell, w in zip(row[1:], widths[1:])]).rstrip()
             for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])
