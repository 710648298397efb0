#!/usr/bin/env python3
"""Unwind tables are kept from one attach to the next, and a cache that cannot be used harms nothing."""

import os
import re
import subprocess
import sys
import unittest.mock

import whyslow_testing as testing


class TableCache(testing.Case):
    """On a Python interpreter, whose program file has some hundred kilobytes of CFI."""

    def setUp(self):
        super().setUp()
        private = self.folder / "private"  # the folder itself is open to the unprivileged user
        private.mkdir(mode=0o700)
        self.cache = private / "cache"
        self.target = testing.Child([sys.executable, "-c", "print('READY', flush=True)\nwhile True: pass"])
        self.addCleanup(self.target.__exit__)
        self.target.wait_for_line("READY")

    def profile(self, *options):
        """(tables compiled, tables from the cache, stderr) of one attach, whose profile is whole."""
        outcome = self.attach(self.target.pid, "--duration", "500ms", "--frequency", 499, "--verbose", *options)
        folded = self.assert_profile(outcome)
        self.assertGreater(folded.total, 50, outcome.stderr)
        self.assertLess(folded.truncated_share(), 0.02, folded.summary())
        found = re.search(r"unwind tables: (\d+) compiled, (\d+) from the cache", outcome.stderr)
        return (int(found[1]), int(found[2]), outcome.stderr) if found else (None, None, outcome.stderr)

    def test_the_second_attach_finds_what_the_first_one_left(self):
        first = self.profile("--cache", self.cache)
        files = sorted(self.cache.glob("unwind-*"))
        if not files:
            self.skipTest(f"{sys.executable} has no build ID or little CFI: {first}")
        self.assertEqual(first[1], 0, first)
        self.assertEqual(self.cache.stat().st_mode & 0o777, 0o700)
        self.assertEqual({path.stat().st_mode & 0o777 for path in files}, {0o600})
        second = self.profile("--cache", self.cache)
        self.assertEqual(second[1], len(files), second)
        self.assertEqual(second[0], first[0] - len(files), second)

    def test_damaged_files_are_replaced(self):
        self.profile("--cache", self.cache)
        files = sorted(self.cache.glob("unwind-*"))
        whole = [path.read_bytes() for path in files]
        for path, content in zip(files, whole):
            path.write_bytes(content[:len(content) // 2] + b"damage" + content[len(content) // 2 + 6:])
        self.assertEqual(self.profile("--cache", self.cache)[1], 0)
        self.assertEqual([path.read_bytes() for path in files], whole)

    def test_nothing_is_kept_without_a_cache(self):
        with unittest.mock.patch.dict(os.environ, {"XDG_CACHE_HOME": str(self.folder)}):
            self.assertEqual(self.profile("--cache", "no")[0], None)
        self.assertFalse((self.folder / "whyslow").exists())

    def test_a_directory_that_others_may_write_to_is_not_used_and_the_profile_is_whole(self):
        self.cache.mkdir()
        self.cache.chmod(0o777)
        compiled, loaded, stderr = self.profile("--cache", self.cache)
        self.assertIn("it is not its user's alone", stderr)
        self.assertEqual((compiled, loaded), (None, None))
        self.assertEqual(list(self.cache.iterdir()), [])

    def test_the_home_of_somebody_else_is_not_used(self):
        if os.geteuid() != 0:
            self.skipTest("only root can give a directory away")
        home = self.folder / "home"
        home.mkdir()
        os.chown(home, testing.UNPRIVILEGED, testing.UNPRIVILEGED)
        environment = {name: value for name, value in os.environ.items() if name != "XDG_CACHE_HOME"}
        ended = subprocess.run([testing.WHYSLOW, "doctor"], env={**environment, "HOME": str(home)},
                               capture_output=True, text=True, timeout=60)
        self.assertIn("it belongs to user", ended.stdout)
        self.assertEqual(list(home.iterdir()), [])


if __name__ == "__main__":
    testing.main()
