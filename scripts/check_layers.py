#!/usr/bin/env python3
"""Checks that no file includes against the flow of data (docs/ARCHITECTURE.md). Exits 1 and names the lines."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Folder: what its files may not include. The first row that holds is enough to fail.
FORBIDDEN = {
    "base/": ("elf/", "profile/", "findings/", "sampler/", "symbolizer/", "exporters/", "cli/"),
    "elf/": ("profile/", "findings/", "sampler/", "symbolizer/", "exporters/", "cli/"),
    "profile/": ("elf/", "findings/", "sampler/", "symbolizer/", "exporters/", "cli/"),
    "findings/": ("elf/", "sampler/", "symbolizer/", "exporters/", "cli/"),
    "symbolizer/": ("findings/", "sampler/", "exporters/", "cli/"),
    "exporters/": ("sampler/", "symbolizer/", "cli/"),
    "sampler/": ("findings/", "symbolizer/", "exporters/", "cli/"),
    "sampler/target/": ("sampler/unwind/", "sampler/perf/", "sampler/bpf/", "sampler/python/",
                        "sampler/wait/", "sampler/attribution/", "profile/"),
    "sampler/perf/": ("sampler/unwind/", "sampler/python/", "sampler/wait/",
                      "sampler/attribution/", "profile/"),
    "sampler/unwind/": ("sampler/python/", "sampler/wait/", "sampler/attribution/",
                        "sampler/perf/", "sampler/bpf/", "profile/"),
    "sampler/python/": ("sampler/unwind/", "sampler/wait/", "sampler/attribution/",
                        "sampler/perf/", "sampler/bpf/"),
    "sampler/wait/": ("sampler/unwind/", "sampler/python/", "sampler/attribution/",
                      "sampler/perf/", "sampler/bpf/"),
    "sampler/attribution/": ("sampler/unwind/", "sampler/wait/", "sampler/perf/", "sampler/bpf/"),
}

# A header that only these folders may see: the kernel's structs end at the record parser.
ONLY_IN = {"linux/perf_event.h": ("sampler/perf/",), "linux/bpf.h": ("sampler/bpf/",),
           "bpf/": ("sampler/bpf/", "sampler/perf/")}

INCLUDE = re.compile(r'^\s*#\s*include\s*["<]([^">]+)[">]', re.M)
FOLDERS = ("base", "elf", "profile", "findings", "sampler", "symbolizer", "exporters", "cli")


def problems_of(path: pathlib.Path):
    here = path.relative_to(ROOT).as_posix()
    for target in INCLUDE.findall(path.read_text(encoding="utf-8")):
        if any(here.startswith(a) and target.startswith(b)
               for a, forbidden in FORBIDDEN.items() for b in forbidden):
            yield f"{here}: may not include {target}: it would run against the flow"
        for header, allowed in ONLY_IN.items():
            if target.startswith(header) and not here.startswith(allowed):
                yield f"{here}: {target} belongs to {' and '.join(allowed)} only"


def main() -> int:
    files = sorted(p for folder in FOLDERS for p in (ROOT / folder).rglob("*")
                   if p.suffix in {".h", ".cc", ".c"})
    problems = [problem for path in files for problem in problems_of(path)]
    print("\n".join(problems) if problems else f"layers: {len(files)} files, all includes go with the flow")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
