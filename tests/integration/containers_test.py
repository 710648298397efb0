#!/usr/bin/env python3
"""Targets that see other files and other process numbers than we do: namespaces, chroot, overlay file systems.
Names, stacks, generated code and separate debug files must be found in the target's tree, not in ours."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import whyslow_testing as t

SOURCE = """
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
static volatile uint64_t sink;
static __attribute__((noinline)) void hidden_work(void) {
  for (int i = 0; i < 1000000; ++i) sink = (sink + i) * 2654435761u;
}
int main(int argc, char** argv) {
  const time_t end = time(NULL) + atoi(argv[1]);
  puts("READY");
  fflush(stdout);
  while (time(NULL) < end) hidden_work();
  return 0;
}
"""
SPLIT = ("burn_fifty", "burn_thirty", "burn_twenty")


def libraries_of(program):
    """The files that the loader needs for it, by their paths."""
    listed = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    return sorted(set(re.findall(r"(/\S+) \(0x", listed)))


def descendant(pid, name):
    """The number, as we see it, of the process below `pid` whose program is called so."""
    for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        if pathlib.Path(f"/proc/{child}/comm").read_text().strip() == name[:15]:
            return int(child)
        found = descendant(child, name)
        if found:
            return found
    return None


class Container(t.Case):
    def start(self, command, name):
        """Starts it and waits until it is ready; its pid is ours for the process called `name`."""
        child = t.Child(list(map(str, command)), stderr=subprocess.PIPE)
        self.addCleanup(child.process.stderr.close)
        self.addCleanup(child.__exit__)
        try:
            child.wait_for_line("READY")
        except AssertionError as error:
            raise AssertionError(f"{error}: {child.process.stderr.read().decode()}") from None
        found = descendant(child.pid, name)
        child.pid = found or child.pid
        # The shell, or unshare, that stands above the target goes when the target does.
        self.addCleanup(self.end, child.pid)
        return child

    @staticmethod
    def end(pid):
        try:
            os.kill(pid, 9)
        except ProcessLookupError:
            pass

    def profile(self, child, *options, **how):
        return self.assert_profile(self.attach(child.pid, "--duration", "2s", "--frequency", 499, *options, **how))

    def in_namespaces(self, script, name):
        """A shell script in mount and PID namespaces of its own; it ends with an exec of the target."""
        return self.start(["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-ec", script],
                          name)

    def make_root(self, *programs):
        """A folder that can be a root: the programs, in /bin, and the libraries that they need."""
        root = self.folder / "root"
        for folder in ("bin", "tmp", "usr/lib/debug"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        for program in map(pathlib.Path, programs):
            shutil.copy(program, root / "bin" / program.name)
            for library in libraries_of(program):
                target = root / library.lstrip("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                if not target.exists():
                    shutil.copy(library, target)
        return root

    def check_split(self, child):
        # Without these rights there is no /proc/PID/map_files: all depends on paths.
        by_path = ["setpriv", "--bounding-set=-sys_admin,-checkpoint_restore"]
        for name, rights in (("root", None), ("without the right to map_files", by_path)):
            with self.subTest(name):
                folded = self.profile(child, user=rights)
                self.assertGreater(folded.share(*SPLIT), 0.9, folded.summary())
                self.assertLess(folded.truncated_share(), 0.01, folded.summary())
                self.assertGreater(folded.share("__libc_start_call_main"), 0.9, folded.summary())


class Files(Container):
    def test_a_program_on_a_file_system_that_only_the_target_has(self):
        program = t.TARGETS / "split_50_30_20"
        child = self.in_namespaces(f"mount -t tmpfs none /mnt; cp {program} /mnt/; exec /mnt/{program.name} 20",
                                   program.name)
        self.assertFalse(pathlib.Path(f"/mnt/{program.name}").exists())
        self.check_split(child)

    def test_an_overlay(self):
        program = t.TARGETS / "split_50_30_20"
        (self.folder / "lower").mkdir()
        shutil.copy(program, self.folder / "lower" / program.name)
        script = f"""
            cd {self.folder}; mkdir -p over merged; mount -t tmpfs none over; mkdir over/upper over/work
            mount -t overlay -o lowerdir=lower,upperdir=over/upper,workdir=over/work none merged || {{ echo READY no; exit; }}
            exec ./merged/{program.name} 20"""
        child = self.in_namespaces(script, program.name)
        if child.lines[-1] == "READY no":
            self.skipTest("overlay file systems cannot be mounted here: " + child.process.stderr.read().decode())
        self.check_split(child)

    def test_a_chroot(self):
        program = t.TARGETS / "split_50_30_20"
        root = self.make_root(program)
        self.check_split(self.start(["chroot", root, f"/bin/{program.name}", "20"], program.name))

    def test_a_namesake_outside_is_not_taken_for_it(self):
        """The same path leads to another program in our tree."""
        program = t.TARGETS / "split_50_30_20"
        place = self.folder / "app"
        shutil.copy(t.TARGETS / "kernel_heavy", place)
        child = self.in_namespaces(f"touch /tmp/none; mount --bind {program} {place}; exec {place} 20", "app")
        self.check_split(child)


class MadeCode(Container):
    def setUp(self):
        super().setUp()
        if not (t.TARGETS / "jit_maker").exists():
            self.skipTest("jit_maker makes code of x86-64 only")

    def in_own_tmp(self, mode):
        program = t.TARGETS / "jit_maker"
        # Not to be hidden by the new /tmp, wherever the build folder is.
        return self.in_namespaces(f"mount -t tmpfs none /mnt; cp {program} /mnt/; mount -t tmpfs none /tmp; "
                                  f"exec /mnt/{program.name} 20 {mode} /tmp", program.name)

    def check_made(self, folded):
        names = ("main", "jit_outer", "jit_between", "jit_inner", "jit_callback")
        whole = folded.weight(lambda frames: [f for f in map(t.plain, frames) if f in names] == list(names))
        self.assertGreater(whole / folded.total, 0.7, folded.summary())
        self.assertLess(folded.truncated_share(), 0.01, folded.summary())

    def test_the_perf_map_has_the_number_that_the_target_has_itself(self):
        child = self.in_own_tmp("map")
        self.assertTrue(pathlib.Path(f"/proc/{child.pid}/root/tmp/perf-1.map").exists())
        self.check_made(self.profile(child))

    def test_a_jitdump(self):
        child = self.in_own_tmp("cfi")
        self.assertTrue(pathlib.Path(f"/proc/{child.pid}/root/tmp/jit-1.dump").exists())
        self.check_made(self.profile(child))

    def test_a_jitdump_in_a_chroot(self):
        program = t.TARGETS / "jit_maker"
        root = self.make_root(program)
        self.check_made(self.profile(self.start(["chroot", root, f"/bin/{program.name}", "20", "cfi", "/tmp"],
                                                program.name)))

    def test_a_perf_map_that_is_a_link_leads_nowhere_else(self):
        """An absolute link counts from the target's root."""
        program = t.TARGETS / "jit_maker"
        root = self.make_root(program)
        outside = self.folder / "outside.map"
        outside.write_text("".join(f"{start:x} 100000000 stolen\n" for start in range(1 << 46, 1 << 47, 1 << 32)))
        child = self.start(["chroot", root, f"/bin/{program.name}", "20", "fp", "/tmp"], program.name)
        (root / "tmp" / f"perf-{child.pid}.map").symlink_to(outside)
        self.assertEqual(self.profile(child).share("stolen"), 0)


class DebugFiles(Container):
    """A stripped program whose debug file lies in the target's tree."""

    def build(self, *flags):
        source = self.folder / "hidden.c"
        source.write_text(SOURCE, encoding="utf-8")
        full = self.folder / "full"
        subprocess.run(["gcc", "-g", "-O2", *flags, "-o", full, source], check=True)
        debug = self.folder / "hidden.debug"
        subprocess.run(["objcopy", "--only-keep-debug", full, debug], check=True)
        stripped = self.folder / "hidden"
        subprocess.run(["strip", "--strip-all", "-o", stripped, full], check=True)
        return stripped, debug

    def build_id_path(self, program):
        notes = subprocess.run(["readelf", "-n", program], check=True, capture_output=True, text=True).stdout
        build_id = notes.split("Build ID: ")[1].split()[0]
        return f"usr/lib/debug/.build-id/{build_id[:2]}/{build_id[2:]}.debug"

    def share_of_hidden_work(self, root):
        folded = self.profile(self.start(["chroot", root, "/bin/hidden", "20"], "hidden"))
        self.assertLess(folded.truncated_share(), 0.01, folded.summary())
        return folded.share("hidden_work")

    def put(self, file, root, path):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, root / path)

    def test_by_build_id(self):
        program, debug = self.build("-Wl,--build-id")
        root = self.make_root(program)
        self.put(debug, root, self.build_id_path(program))
        self.assertGreater(self.share_of_hidden_work(root), 0.9)

    def test_of_another_build_is_not_believed(self):
        program, _debug = self.build("-Wl,--build-id")
        root = self.make_root(program)
        _other, debug = self.build("-Wl,--build-id", "-DOTHER", "-O1")
        self.put(debug, root, self.build_id_path(program))
        self.assertEqual(self.share_of_hidden_work(root), 0)

    def linked(self):
        program, debug = self.build("-Wl,--build-id=none")
        subprocess.run(["objcopy", f"--add-gnu-debuglink={debug}", program], check=True)
        return self.make_root(program), debug

    def test_by_debug_link(self):
        root, debug = self.linked()
        self.put(debug, root, "usr/lib/debug/bin/hidden.debug")
        self.assertGreater(self.share_of_hidden_work(root), 0.9)

    def test_by_debug_link_with_another_checksum(self):
        root, debug = self.linked()
        self.put(debug, root, "bin/.debug/hidden.debug")
        with open(root / "bin/.debug/hidden.debug", "ab") as file:
            file.write(b"more")
        self.assertEqual(self.share_of_hidden_work(root), 0)

    def test_a_link_in_the_tree_of_the_target_counts_from_its_root(self):
        root, debug = self.linked()
        self.put(debug, root, "store/hidden.debug")
        (root / "usr/lib/debug/bin").symlink_to("/store")
        self.assertGreater(self.share_of_hidden_work(root), 0.9)

    def test_the_process_is_gone_when_names_are_looked_for(self):
        program, debug = self.build("-Wl,--build-id")
        root = self.make_root(program)
        self.put(debug, root, self.build_id_path(program))
        child = self.start(["chroot", root, "/bin/hidden", "2"], "hidden")
        folded = self.assert_profile(self.attach(child.pid, "--frequency", 499))
        self.assertGreater(folded.share("hidden_work"), 0.9, folded.summary())


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("SKIPPED: namespaces and chroot want root")
        sys.exit(t.SKIPPED)
    for tool in ("unshare", "chroot", "mount", "setpriv", "ldd", "gcc", "objcopy", "strip", "readelf"):
        if shutil.which(tool) is None:
            print(f"SKIPPED: {tool} is not installed")
            sys.exit(t.SKIPPED)
    if subprocess.run(["unshare", "--mount", "--pid", "--fork", "--mount-proc", "true"]).returncode != 0:
        print("SKIPPED: namespaces are not permitted here")
        sys.exit(t.SKIPPED)
    t.main()
