#!/usr/bin/env python3
"""Runs whyslow in every situation of the table, from outside, and compares its stacks with the truth.

    run.py                          whyslow alone; fails where it is wrong in any situation
    run.py --peers --table FILE     perf and samply too; the table as Markdown
    run.py --only REGEX --verbose   some situations, with what was wrong

Each situation's program is built here, in a folder of its own. What cannot be built or run on this machine
is named with the reason. Ends with 77 where sampling is not permitted.
"""

import argparse
import concurrent.futures
import contextlib
import dataclasses
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

import places
import symbols
import unwinding
from judge import Verdict, judge
from known import KNOWN_SHORT
from situation import Bench, Failed, Situation, Surroundings
from samply import Samply
from tools import LONGER, SECONDS, Perf, ToolFailed, Whyslow

SKIPPED = 77


@dataclasses.dataclass
class Outcome:
    situation: Situation
    group: str
    reason: str = ""  # why there are no verdicts
    broken: bool = False  # the situation could not be set up although its tools are here
    verdicts: dict = dataclasses.field(default_factory=dict)


def all_situations():
    return [(group, situation) for module in (unwinding, symbols, places)
            for group, situations in module.GROUPS for situation in situations]


def why_not(situation):
    missing = [tool for tool in situation.needs if shutil.which(tool) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    return situation.impossible() if situation.impossible else ""


def verdict_of(tool, bench):
    verdict = verdict_after(tool, bench, SECONDS)
    return verdict_after(tool, bench, LONGER) if verdict.too_few else verdict


def verdict_after(tool, bench, seconds):
    situation = bench.situation
    around = situation.around(bench) if situation.around else contextlib.nullcontext(Surroundings())
    with around as surroundings, bench.started() as pid:
        try:
            return judge(situation, tool.rows(pid, bench, surroundings, seconds), bench.chain_for(tool))
        except ToolFailed as error:
            return Verdict(False, "no profile", str(error))
        except subprocess.TimeoutExpired as error:
            return Verdict(False, f"not done after {error.timeout:.0f} s")


def outcome_of(group, situation, tools, folder):
    outcome = Outcome(situation, group, why_not(situation))
    if outcome.reason:
        return outcome
    bench = Bench(situation, folder)
    try:
        bench.build()
        for tool in tools:
            outcome.verdicts[tool.name] = verdict_of(tool, bench)
    except (Failed, OSError, subprocess.SubprocessError) as error:
        outcome.reason, outcome.broken = f"could not be set up: {error}", True
    return outcome


def run(situations, tools, jobs, folder):
    """The outcomes in the order of the situations; each is told as it comes."""
    outcomes = []
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(outcome_of, group, situation, tools, folder / f"{number:03}")
                   for number, (group, situation) in enumerate(situations)]
        for future in futures:
            outcomes.append(future.result())
            tell(outcomes[-1])
    return outcomes


def tell(outcome):
    name = outcome.situation.name
    if outcome.reason:
        print(f"{'BROKEN ' if outcome.broken else 'SKIPPED'}  {name}: {outcome.reason}")
    for tool, verdict in outcome.verdicts.items():
        print(f"{'right  ' if verdict.right else 'WRONG  '}  {name}: {tool}: {verdict.text}")
        if verdict.detail and (tool == Whyslow.name or VERBOSE):
            print("           " + verdict.detail.replace("\n", "\n           "))
    sys.stdout.flush()


VERBOSE = False

# ---------------------------------------------------------------------------------------------
# The table.


def cell(outcome, tool):
    verdict = outcome.verdicts.get(tool.name)
    if verdict is None:
        return "not installed" if tool.missing() else ""
    return verdict.text if verdict.right else f"**wrong**: {verdict.text}"


def escaped(text):
    return text.replace("|", "\\|").replace("\n", " ")


def table(outcomes, tools, command):
    ran = [outcome for outcome in outcomes if outcome.verdicts]
    left_out = [outcome for outcome in outcomes if not outcome.verdicts]
    lines = ["# Situations: which stacks and names are right", "",
             "Made by `" + command + "` on " + time.strftime("%Y-%m-%d", time.gmtime()) + "; sources and truth are in "
             "`tests/situations/`. A profiler is right in a situation when at least 99 % of its samples have exactly the "
             "true chain of functions up to the root, inlined ones included, with the true names and, where lines are asked "
             "for, with file and line; where a program does not carry the information (`marked` in the sources) a stack may "
             "instead say that something is missing (`[truncated: REASON]`) and be true in the rest.", ""]
    lines += [f"- {tool.name}: `{tool.command}`{'; ' + tool.missing() if tool.missing() else ''}" for tool in tools]
    lines += ["", "| | " + " | ".join(tool.name for tool in tools) + " |", "| --- |" + " --- |" * len(tools)]
    lines += [f"| right in, of {len(ran)} | " + " | ".join(count_of(ran, tool) for tool in tools) + " |"]
    for group in dict.fromkeys(outcome.group for outcome in ran):
        lines += ["", f"## {group}", "", "| situation | " + " | ".join(tool.name for tool in tools) + " |",
                  "| --- |" + " --- |" * len(tools)]
        lines += [f"| {escaped(outcome.situation.name)} | " + " | ".join(escaped(cell(outcome, tool)) for tool in tools) + " |"
                  for outcome in ran if outcome.group == group]
    if left_out:
        lines += ["", "## Not tried here", "", "| situation | reason |", "| --- | --- |"]
        lines += [f"| {escaped(outcome.situation.name)} | {escaped(outcome.reason)} |" for outcome in left_out]
    return "\n".join(lines) + "\n"


def count_of(outcomes, tool):
    if tool.missing():
        return "not installed"
    return str(sum(outcome.verdicts[tool.name].right for outcome in outcomes if tool.name in outcome.verdicts))


# ---------------------------------------------------------------------------------------------


def failures(outcomes):
    """The lines of what makes this run fail."""
    found = []
    for outcome in outcomes:
        name = outcome.situation.name
        verdict = outcome.verdicts.get(Whyslow.name)
        if outcome.broken:
            found.append(f"{name}: {outcome.reason}")
        elif verdict is None:
            continue
        elif name in KNOWN_SHORT:
            print(f"known to fall short: {name}: {KNOWN_SHORT[name]} (now: {verdict.text})")
        elif not verdict.right:
            found.append(f"{name}: {verdict.text}")
    return found


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", action="store_true", help="also run perf and samply")
    parser.add_argument("--table", type=pathlib.Path, metavar="FILE", help="write the table there")
    parser.add_argument("--only", default="", metavar="REGEX", help="situations whose name or group matches")
    parser.add_argument("--jobs", type=int, default=2, help="situations at the same time (default: %(default)s)")
    parser.add_argument("--keep", type=pathlib.Path, metavar="FOLDER", help="keep the programs and profiles there")
    parser.add_argument("--verbose", action="store_true", help="also say what the peers had wrong")
    return parser.parse_args()


def main():
    global VERBOSE
    wanted = arguments()
    VERBOSE = wanted.verbose
    reason = Whyslow().missing()
    if reason:
        print(f"SKIPPED: {reason}")
        return SKIPPED
    situations = [row for row in all_situations() if re.search(wanted.only, f"{row[0]}: {row[1].name}", re.I)]
    tools = [Whyslow(), *((Perf(), Samply()) if wanted.peers else ())]
    folder = wanted.keep or pathlib.Path(tempfile.mkdtemp(prefix="whyslow-situations-"))
    try:
        outcomes = run(situations, [tool for tool in tools if not tool.missing()], wanted.jobs, folder)
    finally:
        if not wanted.keep:
            shutil.rmtree(folder, ignore_errors=True)
    if wanted.table:
        command = "tests/situations/run.py --peers --table docs/situations.md"
        wanted.table.write_text(table(outcomes, tools, command), encoding="utf-8")
    found = failures(outcomes)
    right = sum(o.verdicts[Whyslow.name].right for o in outcomes if o.verdicts)
    print(f"{right} right of {sum(bool(o.verdicts) for o in outcomes)}, {sum(not o.verdicts for o in outcomes)} not tried")
    print("\n".join(f"FAILED   {line}" for line in found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
