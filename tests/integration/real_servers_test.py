#!/usr/bin/env python3
"""Profiles of servers as Debian ships them, and of the C++ example, under load: whole stacks, the places
where perf sees them too, files that pprof's own program reads."""

import collections
import os
import pathlib
import shutil
import subprocess
import sys
import time

import perf_flat
import whyslow_testing as t
from pprof_file import PprofFile

SECONDS = float(os.environ.get("WHYSLOW_TEST_SECONDS", "4"))
FREQUENCY = 999


def descendants(pid):
    found = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += descendants(int(child))
    return found


def need(test, *programs):
    for program in programs:
        if shutil.which(program) is None:
            test.skipTest(f"{program} is not installed (scripts/setup)")


class RealServer(t.Case):
    def load(self, command, user=None):
        """Runs beside the profile and is ended with the test, by its pid."""
        child = t.Child(command, user=user, stderr=subprocess.DEVNULL)
        self.addCleanup(child.__exit__)
        return child

    def profile(self, pid):
        """whyslow and, as root, perf at the same time over the same execution."""
        data = str(self.folder / "perf.data")
        perf = None
        if t.may_sample_all_cpus() and shutil.which("perf"):
            perf = perf_flat.recorder(data, SECONDS + 1, FREQUENCY)
        outcome = self.attach(pid, "--duration", f"{SECONDS:g}s", "--frequency", FREQUENCY)
        pids = descendants(pid)
        theirs = None
        if perf is not None:
            self.assertEqual(perf.wait(60), 0)
            theirs = perf_flat.flat(data, pids)
        return outcome, theirs

    def profile_like_perf(self, pid, attempts=3):
        """Where the two disagree they measure again: the timers of some virtual CPUs skip whole stretches, ours or
        perf's, and what is left is no random choice. A profiler that is wrong is so each time."""
        for _ in range(attempts):
            outcome, theirs = self.profile(pid)
            folded = self.assert_profile(outcome)
            pprof = PprofFile(outcome.pprof)
            different = perf_flat.disagreements(self.flat(pprof), theirs) if theirs is not None else []
            if not different:
                break
            print(different, outcome.stderr.splitlines()[-1], file=sys.stderr)
        self.assertEqual(different, [], outcome.stderr)
        return outcome, folded, pprof

    def check(self, pid):
        outcome, folded, pprof = self.profile_like_perf(pid)
        self.assertGreater(folded.total, 100 * SECONDS, outcome.stderr)
        self.check_whole(folded)
        self.assertEqual(pprof.problems(), [])
        self.check_pprof_reads(outcome.pprof)
        return folded, pprof

    def check_whole(self, folded):
        """99 of 100 stacks reach their root, and there are only a few roots."""
        self.assertLess(folded.truncated_share(), 0.01, folded.summary())
        roots = collections.Counter()
        for frames, value in folded.stacks:
            roots[frames[1] if len(frames) > 1 else ""] += value
        common = sum(value for _, value in roots.most_common(3))
        self.assertGreaterEqual(common / folded.total, 0.99, roots.most_common(8))

    @staticmethod
    def flat(pprof):
        counts = collections.Counter()
        index = pprof.index_of("cpu_samples")
        for sample in pprof.samples:
            if not sample.value[index] or not sample.location_id:
                continue
            leaf = pprof.locations[sample.location_id[0]]
            module = pprof.module_of(leaf)
            in_kernel = "kernel" in module and module.startswith("[") or leaf.address >> 63
            key = perf_flat.KERNEL if in_kernel else perf_flat.bucket(module, pprof.file_offset_of(leaf) or 0)
            counts[key] += sample.value[index]
        return counts

    def check_pprof_reads(self, path):
        if shutil.which("go") is None:
            return
        for view in ("-top", "-raw", "-traces"):
            ended = subprocess.run(["go", "tool", "pprof", "-symbolize=none", view, str(path)], capture_output=True,
                                   text=True, timeout=120, env={**os.environ, "PPROF_TMPDIR": str(self.folder)})
            self.assertEqual(ended.returncode, 0, ended.stderr)
            self.assertGreater(len(ended.stdout.splitlines()), 5)

    def test_redis(self):
        need(self, "redis-server", "redis-benchmark")
        port = str(t.free_port())
        server = self.load(["redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no",
                            "--dir", str(self.folder), "--daemonize", "no"])
        server.wait_for_line_containing("Ready to accept connections")
        self.load(["redis-benchmark", "-h", "127.0.0.1", "-p", port, "-c", "8", "-n", "100000000", "-q", "-t",
                   "set,get,lpush,zadd", "-r", "100000"])
        time.sleep(1)
        self.check(server.pid)

    def test_nginx(self):
        need(self, "nginx", "ab")
        port = t.free_port()
        (self.folder / "page.html").write_text("x" * 20_000)
        (self.folder / "nginx.conf").write_text(f"""
            daemon off; master_process on; worker_processes 2; pid {self.folder}/nginx.pid;
            {"user nobody nogroup;" if os.geteuid() == 0 else ""}
            error_log stderr warn;
            events {{ worker_connections 64; }}
            http {{ access_log off; gzip on; gzip_types text/html; gzip_min_length 1; gzip_http_version 1.0;
                    client_body_temp_path {self.folder}/a; proxy_temp_path {self.folder}/b;
                    fastcgi_temp_path {self.folder}/c; uwsgi_temp_path {self.folder}/d; scgi_temp_path {self.folder}/e;
                    server {{ listen 127.0.0.1:{port}; root {self.folder}; }} }}""")
        server = self.load(["nginx", "-c", str(self.folder / "nginx.conf"), "-p", str(self.folder)])
        t.wait_until(lambda: t.accepts(port), what="nginx")
        self.load(["ab", "-q", "-t", str(int(SECONDS) + 20), "-n", "100000000", "-c", "8", "-H",
                   "Accept-Encoding: gzip", f"http://127.0.0.1:{port}/page.html"])
        time.sleep(1)
        folded, _ = self.check(server.pid)
        self.assertGreater(folded.weight(lambda frames: any("deflate" in f or "libz" in f for f in frames)), 0)

    def test_postgresql(self):
        found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"))
        if not found:
            self.skipTest("PostgreSQL is not installed (scripts/setup)")
        programs = found[-1].parent
        user = t.UNPRIVILEGED if os.geteuid() == 0 else None  # it refuses to run as root
        data = self.folder / "cluster"
        subprocess.run(t.as_user(user, [programs / "initdb", "-D", data, "-A", "trust", "-U", "tester", "--no-sync",
                                        "--locale=C", "-E", "UTF8"]), check=True, capture_output=True, timeout=120)
        server = self.load([programs / "postgres", "-D", data, "-c", "listen_addresses=", "-c",
                            f"unix_socket_directories={self.folder}", "-c", "fsync=off"], user)
        t.wait_until(lambda: (self.folder / ".s.PGSQL.5432").exists(), what="PostgreSQL")
        connection = ["-h", str(self.folder), "-U", "tester", "postgres"]
        t.wait_until(lambda: subprocess.run([programs / "pg_isready", *connection[:2]],
                                            capture_output=True).returncode == 0, what="PostgreSQL")
        subprocess.run([programs / "pgbench", "-i", "-q", "-s", "1", *connection], check=True, capture_output=True,
                       timeout=120)
        self.load([programs / "pgbench", "-S", "-c", "4", "-T", str(int(SECONDS) + 20), *connection])
        time.sleep(1)
        self.check(server.pid)

    def test_the_example_in_cpp(self):
        server = self.load([t.EXAMPLES / "example_native_server", "--seconds", str(SECONDS + 30)])
        port = server.wait_for_line("READY")[2]
        # One connection: a virtual machine whose CPUs are all busy may read nothing from its disk until they are not.
        self.load([t.EXAMPLES / "example_native_load", "--port", port, "--connections", "1",
                   "--seconds", str(SECONDS + 20)])
        time.sleep(0.5)
        folded, pprof = self.check(server.pid)
        for function in ("ParseDocument", "StretchKey", "SortRecords", "Compress"):
            self.assertGreater(folded.share(function), 0.02, folded.summary())
        # It has debug information: every place in its own code has a function and a line.
        for location in pprof.raw.location:
            if pprof.module_of(location).endswith("example_native_server"):
                self.assertTrue(location.line, hex(location.address))


if __name__ == "__main__":
    t.main()
