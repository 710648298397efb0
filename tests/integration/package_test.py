#!/usr/bin/env python3
"""The tarball of scripts/package runs where nothing of the build machine is: in a root file system that holds
the unpacked folder, glibc and nothing else (chroot; as an ordinary user: in place, with an empty environment)."""

import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TARBALLS = sorted((ROOT / "dist").glob(f"whyslow-*-linux-{platform.machine()}.tar.gz"), key=os.path.getmtime)
GLIBC = re.compile(r"^(linux-vdso|ld-linux-.*|lib(c|m|dl|pthread|rt|resolv))\.so\.\d+$")


class Package(unittest.TestCase):
    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="whyslow-package-"))
        self.addCleanup(shutil.rmtree, self.root)
        subprocess.run(["tar", "-C", self.root, "-xzf", TARBALLS[-1]], check=True)
        (self.folder,) = self.root.iterdir()
        self.program = self.folder / "bin" / "whyslow"

    def libraries(self):
        """Name and path of what the loader would load."""
        text = subprocess.run(["ldd", self.program], capture_output=True, text=True, check=True).stdout
        rows = [line.split() for line in text.splitlines()]
        return {pathlib.Path(row[0]).name: row[2] if "=>" in row else row[0] for row in rows}

    def test_it_needs_glibc_and_nothing_else(self):
        others = [name for name in self.libraries() if not GLIBC.match(name)]
        self.assertEqual(others, [])

    def test_it_holds_what_belongs_to_it(self):
        names = {path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file()}
        self.assertLessEqual({"bin/whyslow", "share/doc/whyslow/README.md", "share/doc/whyslow/LICENSE"}, names)
        self.assertFalse([name for name in names if name.endswith((".a", ".h", ".cc"))])

    def test_it_runs_in_a_root_file_system_with_glibc_alone(self):
        if os.geteuid() != 0:
            self.skipTest("chroot wants root")
        for name, path in self.libraries().items():
            if path.startswith("/"):
                copy = self.root / path.lstrip("/")
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, copy)
        for arguments in (["--version"], ["--help"], ["attach", "--help"]):
            ended = subprocess.run([shutil.which("chroot"), self.root, f"/{self.folder.name}/bin/whyslow", *arguments],
                                   capture_output=True, text=True, env={}, timeout=60)
            self.assertEqual(ended.returncode, 0, ended.stderr)
            self.assertIn("whyslow", ended.stdout)

    def test_it_runs_from_any_folder_with_an_empty_environment(self):
        moved = self.root / "some where else"
        shutil.move(self.folder, moved)
        ended = subprocess.run([moved / "bin" / "whyslow", "--version"], capture_output=True, text=True, env={},
                               cwd="/", timeout=60)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertRegex(ended.stdout, r"\d+\.\d+\.\d+")


if __name__ == "__main__":
    if not TARBALLS:
        print("SKIPPED: dist/ holds no tarball for this machine (scripts/package makes one)")
        sys.exit(77)
    unittest.main(verbosity=2)
