"""Whether the stacks that a profiler gave are the true ones."""

import dataclasses
import re

from situation import MARK, with_lines

LEAST_SHARE = 0.99
LEAST_SAMPLES = 50
KERNEL = "_[k]"


@dataclasses.dataclass(frozen=True)
class Row:
    """One stack of a profile, root first: its frames as `name`, and as `name@file:line`."""

    frames: tuple
    places: tuple
    count: int


@dataclasses.dataclass(frozen=True)
class Verdict:
    right: bool
    text: str
    detail: str = ""
    too_few: bool = False


def judge(situation, rows, chain=None):
    rows = [_without_kernel(row) for row in rows] if not situation.kernel else rows
    total = sum(row.count for row in rows)
    if total < LEAST_SAMPLES:
        return Verdict(False, f"{total} samples", too_few=True)
    true, marked, wrong = _sorted(situation, rows, chain or situation.chain)
    share = (true + marked) / total
    if share < LEAST_SHARE:
        return Verdict(False, f"{_percent(share)} true", _worst(wrong, total))
    for pattern, least in situation.seen:
        seen = sum(row.count for row in rows if re.search(pattern, ";".join(row.frames))) / total
        if seen < least:
            return Verdict(False, f"{pattern} in {_percent(seen)}", _worst([(r, "frames") for r in rows], total),
                           too_few=True)
    return Verdict(True, "right" if marked <= (1 - LEAST_SHARE) * total else f"right, {_percent(marked / total)} marked")


def _sorted(situation, rows, chain):
    """Counts of true and of rightly marked stacks, and the other rows with what was wrong."""
    chain = re.compile(chain)
    cut = re.compile(situation.marked) if situation.marked else None
    lines = re.compile(with_lines(situation.lines)) if situation.lines else None
    true = marked = 0
    wrong = []
    for row in rows:
        stack = ";".join(row.frames)
        if chain.fullmatch(stack):
            if lines is None or lines.fullmatch(";".join(row.places)):
                true += row.count
            else:
                wrong.append((row, "places"))
        elif cut is not None and re.search(MARK, stack) and cut.fullmatch(stack):
            marked += row.count
        else:
            wrong.append((row, "frames"))
    return true, marked, wrong


def _without_kernel(row):
    count = len(row.frames)
    while count and row.frames[count - 1].endswith(KERNEL):
        count -= 1
    return Row(row.frames[:count], row.places[:count], row.count)


def _percent(share):
    return f"{100 * share:.1f} %" if 0 < share < 0.999 else f"{100 * share:.0f} %"


def _worst(wrong, total):
    """The heaviest of the stacks that are not true, shortened in the middle."""
    sums = {}
    for row, what in wrong:
        stack = ";".join(getattr(row, what))
        sums[stack] = sums.get(stack, 0) + row.count
    top = sorted(sums.items(), key=lambda item: -item[1])[:3]
    return "\n".join(f"{_percent(count / total)}: {stack if len(stack) < 700 else stack[:350] + ' ... ' + stack[-350:]}"
                     for stack, count in top)
