"""Situations in which the mapped file is not where its path says, or not for long."""

import contextlib
import os
import pathlib
import shutil

from situation import CHAIN, GLIBC, Failed, Situation

PROGRAM = "gcc -O2 -o {dir}/program {src}/chain.c"
# Of the same size of text and more, with other functions where the chain's are.
OTHER = "gcc -O1 -o {dir}/other {src}/tiny.c"
DLOPENED = rf"{GLIBC};main;outer;lib_middle;lib_leaf"


def library(prefix, name, flags=""):
    return f"gcc -O2 -shared -fPIC {flags} -DPREFIX={prefix} -o {{dir}}/{name} {{src}}/library.c"


LOADS = "gcc -O2 -o {dir}/loads {src}/loads.c"


@contextlib.contextmanager
def deleted(bench):
    with bench.process([bench.folder / "program"]) as pid:
        (bench.folder / "program").unlink()
        yield pid
    bench.do(PROGRAM)


@contextlib.contextmanager
def replaced(bench):
    kept = bench.folder / "kept"
    shutil.copy(bench.folder / "program", kept)
    with bench.process([bench.folder / "program"]) as pid:
        shutil.copy(bench.folder / "other", bench.folder / "new")
        os.rename(bench.folder / "new", bench.folder / "program")
        yield pid
    os.rename(kept, bench.folder / "program")


@contextlib.contextmanager
def upgraded(bench):
    shutil.copy(bench.folder / "old.so", bench.folder / "lib.so")
    with bench.process(bench.command("{dir}/loads {dir}/lib.so lib_")) as pid:
        shutil.copy(bench.folder / "new.so", bench.folder / "arriving.so")
        os.rename(bench.folder / "arriving.so", bench.folder / "lib.so")
        yield pid


@contextlib.contextmanager
def from_memory(bench):
    """The program's file exists nowhere but in memory."""
    descriptor = os.memfd_create("burn", 0)
    try:
        os.write(descriptor, (bench.folder / "program").read_bytes())
        with bench.process([f"/proc/self/fd/{descriptor}"], pass_fds=(descriptor,)) as pid:
            yield pid
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def in_chroot(bench):
    """Run as /bin/ls there, which outside is another program."""
    root = bench.folder / "root"
    (root / "bin").mkdir(parents=True, exist_ok=True)
    shutil.copy(bench.folder / "program", root / "bin" / "ls")
    with bench.process(["chroot", root, "/bin/ls"]) as pid:
        yield pid


@contextlib.contextmanager
def in_namespaces(bench, command):
    """In PID and mount namespaces of its own, with a file system over {dir}/inside that nobody else sees."""
    (bench.folder / "inside").mkdir(exist_ok=True)
    inside = f'mount -t tmpfs none "{bench.folder}/inside" && {bench.fill(command)}'
    with bench.process(["unshare", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", inside], innermost=True) as pid:
        if (bench.folder / "inside" / "program").exists():
            raise Failed("the namespace is none: its file can be seen from outside")
        yield pid


def hidden(bench):
    return in_namespaces(bench, 'cp "{dir}/program" "{dir}/inside/program" && exec "{dir}/inside/program"')


def hidden_map(bench):
    """Its perf map is in its own /tmp, under the pid that it has there; its file lies below that mount."""
    return in_namespaces(bench, 'cp "{dir}/program" "{dir}/inside/program" && exec 3<"{dir}/inside/program" && '
                                "mount -t tmpfs none /tmp && exec /proc/self/fd/3 map")


@contextlib.contextmanager
def on_overlay(bench):
    """From an overlay of two folders, mounted in a namespace of its own."""
    for name in ("lower", "upper", "work", "merged"):
        (bench.folder / name).mkdir(exist_ok=True)
    shutil.copy(bench.folder / "program", bench.folder / "lower" / "program")
    inside = ("mount -t tmpfs none {dir}/upper && mkdir {dir}/upper/up {dir}/upper/work && "
              "mount -t overlay overlay -o lowerdir={dir}/lower,upperdir={dir}/upper/up,workdir={dir}/upper/work {dir}/merged && "
              "exec {dir}/merged/program")
    with bench.process(["unshare", "--mount", "sh", "-c", bench.fill(inside)]) as pid:
        yield pid


def with_newline(bench):
    path = bench.folder / "two\nlines"
    if not path.exists():
        shutil.copy(bench.folder / "program", path)
    return bench.process([path])


def no_modules():
    modules = pathlib.Path("/proc/modules")
    if not modules.exists() or not modules.read_text(encoding="ascii", errors="replace").strip():
        return "this kernel has no modules loaded"
    return "no module of this kernel can be made to burn CPU by a program"


FILES = (
    Situation("executable deleted while it runs", (PROGRAM,), CHAIN, start=deleted, needs=("gcc",)),
    Situation("executable replaced while it runs", (PROGRAM, OTHER), CHAIN, start=replaced, needs=("gcc",)),
    Situation("library replaced by an upgrade",
              (LOADS, library("lib_", "old.so"), library("new_", "new.so", "-DPAD -O1")), DLOPENED, start=upgraded, needs=("gcc",)),
    Situation("memfd", (PROGRAM,), CHAIN, start=from_memory, needs=("gcc",)),
    Situation("dlopen during the profile", (LOADS, library("lib_", "lib.so")), DLOPENED,
              run="{dir}/loads {dir}/lib.so lib_ later", needs=("gcc",)),
    Situation("dlclose, and another library at the same address",
              (LOADS, library("a_", "a.so"), library("b_", "b.so")),
              rf"{GLIBC};main(?:;Alternate)?;(?:in_first;a_middle;a_leaf|in_second;b_middle;b_leaf)",
              seen=((";a_leaf$", 0.1), (";b_leaf$", 0.1)), run="{dir}/loads {dir}/a.so a_ {dir}/b.so b_", needs=("gcc",)),
    Situation("newline in the path", (PROGRAM,), CHAIN, start=with_newline, needs=("gcc",)),
)

NAMESPACES = (
    Situation("chroot", ("gcc -O2 -static -o {dir}/program {src}/chain.c",), CHAIN, start=in_chroot, needs=("gcc", "chroot")),
    Situation("mount and PID namespaces", (PROGRAM,), CHAIN, start=hidden, needs=("gcc", "unshare")),
    Situation("overlayfs in a mount namespace", (PROGRAM,), CHAIN, start=on_overlay, needs=("gcc", "unshare")),
    Situation("perf map in a PID and mount namespace", ("gcc -O2 -o {dir}/program {src}/generated.c",),
              rf"{GLIBC};main;outer;generated_middle;callback;leaf", start=hidden_map, needs=("gcc", "unshare")),
)

KERNEL = (
    Situation("kernel modules", (), "", impossible=no_modules),
)

GROUPS = (("Files: deleted, replaced, loaded late", FILES), ("Files: namespaces", NAMESPACES), ("The kernel", KERNEL))
