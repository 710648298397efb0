#!/usr/bin/env python3
"""Compares our names, inlined frames and lines with those of eu-addr2line or llvm-symbolizer.

  compare_symbols.py SYMBOLIZE_ADDRESSES FILE [--count N] [--oracle eu|llvm] [--show N]

Takes N addresses spread evenly over the functions of FILE and prints, for each kind of disagreement, how
many addresses show it and some examples.
"""

import argparse
import collections
import os
import random
import re
import subprocess
import sys


def code_addresses(path, count):
    """Addresses inside functions, by the symbol table; the same ones every time."""
    rows = subprocess.run(["nm", "-S", "--defined-only", path], capture_output=True, text=True).stdout
    functions = [(int(f[0], 16), int(f[1], 16)) for f in map(str.split, rows.splitlines())
                 if len(f) == 4 and f[2] in "tTwW" and int(f[1], 16) > 0]
    functions = sorted(set(functions))
    chosen = random.Random(1)
    weights = [size for _, size in functions]
    picks = chosen.choices(functions, weights=weights, k=count)
    return sorted({start + chosen.randrange(size) for start, size in picks})


def ours(tool, path, addresses):
    text = "\n".join(f"{a:x}" for a in addresses) + "\n"
    run = subprocess.run([tool, path], input=text, capture_output=True, text=True, errors="replace")
    sys.stderr.write("ours: " + run.stderr)
    result, address = {}, None
    for line in run.stdout.splitlines():
        if re.fullmatch("0x[0-9a-f]+", line):
            address = int(line, 16)
            result[address] = []
        elif line:
            name, symbol, place = line.rsplit("|", 2)
            result[address].append((symbol or name, name, place))
    return result


def oracle(which, path, addresses):
    text = "\n".join(f"0x{a:x}" for a in addresses) + "\n"
    if which == "eu":
        command = ["eu-addr2line", "-i", "-f", "-a", "-e", path]
    else:
        command = ["llvm-symbolizer-14", "--inlines", "--functions=linkage", "--output-style=GNU", "-a",
                   "--no-demangle", "-e", path]
    run = subprocess.run(command, input=text, capture_output=True, text=True, errors="replace")
    result, address, name = {}, None, None
    for line in run.stdout.splitlines():
        if re.fullmatch("0x[0-9a-f]+", line):
            address, name = int(line, 16), None
            result[address] = []
        elif name is None:
            name = re.sub(r" inlined at .*", "", line)
        else:
            place = re.sub(r" \(discriminator \d+\)", "", line)
            result[address].append((name, name, re.sub(r":\d+$", "", place) if place.count(":") > 1
                                    else place))
            name = None
    return result


def base(place):
    file, _, line = place.rpartition(":")
    if line in ("0", "?") or file in ("", "??"):
        return "", "no line"
    return os.path.basename(file), line


def same_name(a, b):
    strip = lambda s: re.sub(r"(\.(cold|isra|part|constprop|lto_priv|localalias)(\.\d+)?)+$", "", s)
    # The oracles give bare names where DWARF has no linkage name.
    return strip(a[0]) == strip(b[0]) or re.search(r"(^|::)" + re.escape(b[1]) + r"($|[(<])", a[1])


def kind_of(mine, theirs):
    if not theirs or theirs[0][0] == "??":
        return "only we know it" if mine else "neither knows it"
    if not mine:
        return "only the oracle knows it"
    if len(mine) != len(theirs):
        return "number of frames"
    if not all(same_name(a, b) for a, b in zip(mine, theirs)):
        return "name"
    if base(mine[0][2]) != base(theirs[0][2]):
        return "line of the innermost frame"
    if any(base(a[2]) != base(b[2]) for a, b in zip(mine, theirs)):
        return "line of an outer frame"
    return "same"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tool")
    parser.add_argument("file")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--oracle", default="eu", choices=["eu", "llvm"])
    parser.add_argument("--show", type=int, default=2)
    options = parser.parse_args()
    addresses = code_addresses(options.file, options.count)
    mine = ours(options.tool, options.file, addresses)
    theirs = oracle(options.oracle, options.file, addresses)
    kinds = collections.defaultdict(list)
    for address in addresses:
        kinds[kind_of(mine.get(address, []), theirs.get(address, []))].append(address)
    for kind, found in sorted(kinds.items(), key=lambda item: -len(item[1])):
        print(f"{len(found):6} {kind}")
        for address in found[:options.show if kind != "same" else 0]:
            print(f"   0x{address:x}\n     ours:")
            for frame in mine.get(address, []):
                print(f"       {frame[0]} | {frame[1]} {frame[2]}"[:300])
            print("     oracle:")
            for frame in theirs.get(address, []):
                print(f"       {frame[0]} {frame[2]}"[:300])


if __name__ == "__main__":
    main()
