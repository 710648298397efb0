"""Where `perf record -a` saw a set of processes: samples by module and KiB of file offset, no symbols needed.

Addresses are compared, not names: servers come without symbols, and two tools choose differently among aliases.
"""

import bisect
import collections
import os
import re
import subprocess

MMAP = re.compile(r"PERF_RECORD_MMAP2? (-?\d+)/\d+: \[0x([0-9a-f]+)\(0x([0-9a-f]+)\) @ (0x[0-9a-f]+|0) .*?\]: ...p (.*)$")
SAMPLE = re.compile(r"^\s*.*?\s+(-?\d+)/(-?\d+)\s+\S+:?\s+([0-9a-f]+)")
KERNEL = ("[kernel]", 0)
KIB = 1024


def recorder(data, seconds, frequency):
    """A running perf, of all CPUs: a clock of each task would slow down those who switch a lot."""
    return subprocess.Popen(["perf", "record", "-q", "-a", "-e", "cpu-clock", "-F", str(frequency), "-o", data, "--",
                             "sleep", str(seconds)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def bucket(path, offset):
    return os.path.basename(path), offset // KIB


def flat(data, pids):
    """Counter of buckets over the samples of these processes."""
    text = subprocess.run(["perf", "script", "-i", data, "--show-mmap-events", "-F", "comm,pid,tid,event,ip"],
                          capture_output=True, text=True, errors="replace", timeout=120, check=True).stdout
    maps = collections.defaultdict(list)
    counts = collections.Counter()
    for line in text.splitlines():
        mapped = MMAP.search(line)
        if mapped:
            start, size, offset = (int(mapped[i], 16) for i in (2, 3, 4))
            bisect.insort(maps[int(mapped[1])], (start, start + size, offset, mapped[5]))
            continue
        sample = SAMPLE.match(line)
        if sample and int(sample[1]) in pids:
            counts[_locate(maps, int(sample[1]), pids, int(sample[3], 16))] += 1
    return counts


def _locate(maps, pid, pids, address):
    if address >> 63:
        return KERNEL
    # A process forked while perf ran has its parent's mappings.
    for owner in (pid, *pids):
        rows = maps.get(owner, ())
        at = bisect.bisect_right(rows, (address, float("inf"))) - 1
        if at >= 0 and rows[at][0] <= address < rows[at][1]:
            return bucket(rows[at][3], address - rows[at][0] + rows[at][2])
    return ("?", 0)


def disagreements(ours, theirs, smallest=0.02, sigmas=4.0, slack=0.01):
    """Buckets where two samplings of one execution differ by more than chance explains.

    With shares p1 of n1 and p2 of n2 samples and the pooled p = (x1 + x2) / (n1 + n2), the difference of
    two binomial shares has the deviation s = sqrt(p (1 - p) (1/n1 + 1/n2)). A bucket disagrees when
    |p1 - p2| > sigmas * s + slack; the slack is for what differs by nature (how many instructions later
    the interrupt arrives, what each tool costs the other).
    """
    n1, n2 = sum(ours.values()), sum(theirs.values())
    found = []
    for key in sorted(set(ours) | set(theirs)):
        p1, p2 = ours.get(key, 0) / n1, theirs.get(key, 0) / n2
        pooled = (ours.get(key, 0) + theirs.get(key, 0)) / (n1 + n2)
        deviation = (pooled * (1 - pooled) * (1 / n1 + 1 / n2)) ** 0.5
        if max(p1, p2) >= smallest and abs(p1 - p2) > sigmas * deviation + slack:
            found.append(f"{key[0]}+{key[1]} KiB: {100 * p1:.1f} % of {n1} here, {100 * p2:.1f} % of {n2} with perf")
    return found
