"""Programs with as much debug information as large servers have, made of real compilers' output.

Compiling a gigabyte of it would take half an hour. So each source in benchmarks/symbols is compiled once, to
assembly; the further units are the same text with another namespace of the same length, which is what the compiler
would have written for them: every name, mangled or not, every string and every entry is there again, for its own code.
"""

import concurrent.futures
import functools
import os
import pathlib
import subprocess
import sys

SOURCES = sorted((pathlib.Path(__file__).resolve().parent / "symbols").glob("*.cc"))
NAMESPACE = b"space0000"


def say(text):
    print(text, file=sys.stderr, flush=True)


def compile_source(compiler, source, folder):
    assembly = folder / (source.stem + ".s")
    subprocess.run([compiler, "-std=c++17", "-O2", "-g", "-S", "-w", "-o", assembly, source], check=True)
    return assembly


def assemble(compiler, text, number, folder):
    """One more unit; returns its object file."""
    unit = folder / f"unit{number}.o"
    renamed = text.replace(NAMESPACE, b"space%04d" % number)
    subprocess.run([compiler, "-x", "assembler", "-c", "-o", unit, "-"], input=renamed, check=True)
    return unit


def make_unit(compiler, texts, folder, number):
    return assemble(compiler, texts[number % len(texts)], number, folder)


def count_for(wanted, kinds, size_of):
    """How many units give a program of so many bytes. Relocations stay behind and equal strings are joined, so that
    only the linker knows what one more of each kind adds."""
    few, more = size_of(kinds), size_of(2 * kinds)
    return kinds + round((wanted - few) / (more - few) * kinds)


def linked_size(compiler, units, folder):
    link(compiler, list(units), folder, folder / "sample")
    return (folder / "sample").stat().st_size


def link(compiler, units, folder, program):
    names = [f"unit_space{number:04}" for number in range(len(units))]
    (folder / "main.cc").write_text(
        "".join(f"long {name}(int);\n" for name in names) +
        "int main(int count, char**) {\n  long total = 0;\n" +
        "".join(f"  total += {name}(count);\n" for name in names) + "  return total == 42;\n}\n")
    (folder / "units").write_text("".join(f"{unit}\n" for unit in units))
    subprocess.run([compiler, "-O2", "-g", "-o", program, folder / "main.cc", f"@{folder / 'units'}", "-pthread"],
                   check=True)


def program(folder, megabytes, compiler="g++"):
    """The path of a program of about so many MB (1e6 bytes), made there if need be."""
    result = pathlib.Path(folder) / f"debug-{megabytes}MB"
    if result.exists():
        return result
    work = pathlib.Path(folder) / f"units-{megabytes}MB"
    work.mkdir(parents=True, exist_ok=True)
    say(f"making {result.name}")
    workers = max(1, min(os.cpu_count(), 4))
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        texts = [path.read_bytes() for path in pool.map(lambda s: compile_source(compiler, s, work), SOURCES)]
        make = functools.partial(make_unit, compiler, texts, work)
        count = count_for(megabytes * 1e6, len(texts), lambda n: linked_size(compiler, pool.map(make, range(n)), work))
        units = list(pool.map(make, range(count)))
    partial = result.with_suffix(".partial")
    link(compiler, units, work, partial)
    for path in work.iterdir():
        path.unlink()
    work.rmdir()
    partial.rename(result)
    return result


if __name__ == "__main__":
    print(program(sys.argv[1], int(sys.argv[2])))
