#!/usr/bin/env python3
"""Waits of servers as Debian ships them, and of one with a pool of threads: the reasons, the peers, and counts
and times beside those that the kernel and the servers keep themselves."""

import collections
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import time

import slow_peers
import wait_rows
import whyslow_testing as t
from wait_rows import Directed, Recorder, WaitCase
from wait_truth import Measured


def switches(pid, tid):
    """Voluntary and other switches of a thread, as the kernel counts them."""
    status = pathlib.Path(f"/proc/{pid}/task/{tid}/status").read_text(encoding="utf-8")
    return tuple(int(re.search(rf"^{name}_ctxt_switches:\s+(\d+)$", status, re.M)[1])
                 for name in ("voluntary", "nonvoluntary"))


def all_switches(pids):
    found = {}
    for pid in pids:
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            found[int(task.name)] = switches(pid, task.name)
    return found


def children(pid):
    return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class PoolServer(Measured):
    REQUESTS = 400

    def record_pool(self):
        backend = slow_peers.backend(0.005)
        self.addCleanup(slow_peers.close, backend)
        with Directed("pool_server", backend.server_address[1], self.REQUESTS) as target:
            port = int(next(line for line in target.lines if line.startswith("PORT")).split()[1])
            recorder = Recorder(self, target.pid)
            failures = []
            load = threading.Thread(target=lambda: failures.extend(
                slow_peers.ask(port, b"request", self.REQUESTS, clients=6)))
            load.start()
            truth = target.play()
            load.join(60)
            profile = self.read(recorder.finish())
            target.tell("end")
            self.assertEqual(target.process.wait(30), 0)
        self.assertEqual(failures, [])
        return profile, truth

    def test_each_wait_has_its_reason_and_peer(self):
        profile, truth = self.record_pool()
        self.compare(profile, truth, "check_rows", "check_times", "check_counts", "check_reasons", "check_threads",
                     "check_switches")
        with self.subTest("idle"):
            self.check_idle(profile)

    # What the backend and the lock cost is the server's; waiting for clients and for jobs is nobody's.
    def check_idle(self, profile):
        # Not wait_for_job: the workers have stood at a gate before, within the profile, so that nothing tells the
        # loop that they came to from a handler. (Loops from which threads do not come are in wait_reasons_test.cc.)
        for function, idle in (("accept_client", True), ("call_backend", False), ("lock_statistics", False),
                               ("update_statistics", False)):
            rows = profile.rows.with_frame(function).voluntary().of_kind("accept", "condition", "socket", "mutex",
                                                                         "sleep")
            rows = rows.where(lambda row, function=function: row.kind != "mutex" or function == "lock_statistics")
            self.assertGreater(rows.count, 0, function)
            wrong = rows.where(lambda row, idle=idle: (row.labels.get("idle") == "yes") != idle)
            self.assertEqual(wrong, [], f"{function}: idle should be {idle}{wrong.text()}")


class Server(WaitCase):
    def need(self, *programs):
        for program in programs:
            if shutil.which(program) is None:
                self.skipTest(f"{program} is not installed (scripts/setup)")

    def beside(self, command, user=None):
        """Runs until the test ends."""
        child = t.Child(command, user=user, stderr=subprocess.DEVNULL)
        self.addCleanup(child.__exit__)
        return child

    @staticmethod
    def run_to_end(command, **how):
        return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True,
                              timeout=120, **how).stdout

    def record(self, pid, work, counted_pids):
        """A profile of what a server does during `work()`, and by how much its threads' switches grew meanwhile."""
        recorder = Recorder(self, pid)
        before = all_switches(counted_pids)
        work()
        after = all_switches(counted_pids)
        profile = self.read(recorder.finish())
        grown = {tid: tuple(b - a for a, b in zip(before.get(tid, (0, 0)), figures))
                 for tid, figures in after.items()}
        return profile, grown

    # The profile begins a little earlier and ends a little later than the counting, and a thread that does nothing
    # waits once in it.
    def check_switches(self, profile, grown, more=40):
        for tid, (voluntary, involuntary) in grown.items():
            rows = profile.rows.of_thread(tid)
            with self.subTest(f"switches of {tid}"):
                mine = rows.voluntary().count
                self.assertTrue(voluntary <= mine <= voluntary + 1 + more, f"{mine}, in truth {voluntary}{rows.text()}")
                lost = rows.of_kind(*wait_rows.INVOLUNTARY).count
                self.assertTrue(involuntary <= lost <= involuntary + more,
                                f"{lost}, in truth {involuntary}{rows.text()}")
                self.assertAlmostEqual(rows.cpu + rows.wait, profile.duration, delta=0.01 * profile.duration,
                                       msg=rows.text())

    def check_whole(self, rows):
        """Nearly all waiting stacks reach the thread's beginning."""
        cut = rows.where(lambda row: any(frame.startswith("[truncated") for frame in row.frames))
        self.assertLessEqual(cut.wait, 0.01 * rows.wait, cut.text())


class Redis(Server):
    def start(self, host, port):
        self.need("redis-server", "redis-benchmark", "redis-cli")
        server = self.beside(["redis-server", "--bind", host, "--port", str(port), "--save", "", "--appendonly", "no",
                              "--dir", str(self.folder), "--daemonize", "no"])
        server.wait_for_line_containing("Ready to accept connections")
        return server

    def test_the_event_loop_waits_for_clients(self):
        port = t.free_port()
        server = self.start("127.0.0.1", port)
        profile, grown = self.record(server.pid, lambda: self.run_to_end(
            ["redis-benchmark", "-h", "127.0.0.1", "-p", port, "-c", 1, "-n", 5000, "-q", "-t", "set"]), [server.pid])
        self.assertGreater(grown[server.pid][0], 2000)
        self.check_switches(profile, grown)
        self.check_whole(profile.rows)
        rows = profile.rows.of_thread(server.pid)
        # With one client the descriptors that it waits for have one socket among them.
        events = rows.of_kind("poll", "socket")
        self.assertGreater(events.count, 0.95 * rows.voluntary().count, rows.text())
        # One wait was under way at the attach, and may have ended before its stack was read.
        events = events.where(lambda row: row.count != 1 or not row.has("[truncated: user memory gone]"))
        self.assertEqual(events.where(lambda row: not row.has("epoll_wait") or not row.has("aeMain")), [])
        # Its helpers have nothing to do, all of the time.
        helpers = profile.rows.where(lambda row: row.tid != server.pid and row.thread.startswith("bio"))
        self.assertGreaterEqual(len({row.tid for row in helpers}), 3)
        self.assertEqual(helpers.kinds().keys(), {"condition"}, helpers.text())
        self.assertEqual({row.labels.get("idle") for row in helpers}, {"yes"}, helpers.text())

    def test_a_client_that_waits_for_redis_says_so(self):
        self.start("127.0.86.9", 6379)
        client = self.beside(["redis-cli", "-h", "127.0.86.9", "-p", "6379", "blpop", "nothing", "30"])
        time.sleep(0.3)
        profile, _ = self.record(client.pid, lambda: time.sleep(0.5), [client.pid])
        rows = profile.rows.of_thread(client.pid)
        self.assertEqual(rows.kinds(), {"socket": (1, rows.wait)}, rows.text())
        self.assertEqual({(row.labels.get("peer"), row.labels.get("protocol")) for row in rows},
                         {("127.0.86.9:6379", "redis")}, rows.text())
        self.assertAlmostEqual(rows.wait, profile.duration, delta=0.01 * profile.duration)


class Nginx(Server):
    def test_workers_that_proxy_wait_for_events_and_the_master_for_signals(self):
        self.need("nginx", "ab")
        upstream = slow_peers.upstream(0.02)
        self.addCleanup(slow_peers.close, upstream)
        port = t.free_port()
        (self.folder / "nginx.conf").write_text(f"""
            daemon off; master_process on; worker_processes 2; pid {self.folder}/nginx.pid;
            {"user nobody nogroup;" if t.os.geteuid() == 0 else ""}
            error_log stderr warn;
            events {{ worker_connections 64; }}
            http {{ access_log off;
                    client_body_temp_path {self.folder}/a; proxy_temp_path {self.folder}/b;
                    fastcgi_temp_path {self.folder}/c; uwsgi_temp_path {self.folder}/d; scgi_temp_path {self.folder}/e;
                    server {{ listen 127.0.0.1:{port};
                              location / {{ proxy_pass http://127.0.0.1:{upstream.server_address[1]}; }} }} }}""")
        server = self.beside(["nginx", "-c", str(self.folder / "nginx.conf"), "-p", str(self.folder)])
        t.wait_until(lambda: t.accepts(port), what="nginx")
        t.wait_until(lambda: len(children(server.pid)) == 2, what="nginx's workers")
        workers = children(server.pid)
        profile, grown = self.record(server.pid, lambda: self.run_to_end(
            ["ab", "-q", "-n", 300, "-c", 4, f"http://127.0.0.1:{port}/"]), [server.pid, *workers])
        self.check_switches(profile, grown)
        self.check_whole(profile.rows)
        # A request needs two waits, for the client and for the upstream, but a worker may wake for two at once.
        self.assertGreater(sum(grown[worker][0] for worker in workers), 250)
        for worker in workers:
            rows = profile.rows.of_thread(worker)
            self.assertGreater(rows.of_kind("poll").wait, 0.95 * rows.voluntary().wait, rows.text())
        master = profile.rows.of_thread(server.pid)
        self.assertEqual(master.kinds().keys(), {"signal"}, master.text())


class Postgresql(Server):
    HOST = "127.0.86.10"
    CLIENTS = 4

    def setUp(self):
        super().setUp()
        found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"))
        if not found:
            self.skipTest("PostgreSQL is not installed (scripts/setup)")
        self.programs = found[-1].parent
        user = t.UNPRIVILEGED if t.os.geteuid() == 0 else None  # it refuses to run as root
        data = self.folder / "cluster"
        self.run_to_end(t.as_user(user, [self.programs / "initdb", "-D", data, "-A", "trust", "-U", "tester",
                                         "--no-sync", "--locale=C", "-E", "UTF8"]))
        self.server = self.beside([self.programs / "postgres", "-D", data, "-c", f"listen_addresses={self.HOST}",
                                   "-c", f"unix_socket_directories={self.folder}", "-c", "fsync=off"], user)
        self.connection = ["-h", self.HOST, "-U", "tester", "postgres"]
        t.wait_until(lambda: subprocess.run([self.programs / "pg_isready", "-h", self.HOST],
                                            capture_output=True).returncode == 0, what="PostgreSQL")

    def sql(self, text):
        return self.run_to_end([self.programs / "psql", "-A", "-t", "-q", "-c", text, *self.connection])

    # What the server itself says its clients wait for, fifty times a second.
    def watch_activity(self):
        script = self.folder / "watch.sql"
        script.write_text("""SELECT count(*) FILTER (WHERE wait_event_type = 'Lock'),
                             count(*) FILTER (WHERE wait_event = 'PgSleep') FROM pg_stat_activity
                             WHERE application_name = 'pgbench' \\watch 0.02\n""")
        return self.beside([str(self.programs / "psql"), "-A", "-t", "-q", "-f", str(script), *self.connection])

    def test_locks_between_clients(self):
        self.sql("CREATE TABLE counters (id int PRIMARY KEY, n int); INSERT INTO counters VALUES (1, 0)")
        script = self.folder / "contended.sql"
        script.write_text("BEGIN;\nUPDATE counters SET n = n + 1 WHERE id = 1;\nSELECT pg_sleep(0.01);\nCOMMIT;\n")
        pgbench = self.beside([str(self.programs / "pgbench"), "-n", "-f", str(script), "-c", str(self.CLIENTS),
                               "-T", "30", *self.connection])
        t.wait_until(lambda: int(self.sql("SELECT n FROM counters")) > 10, what="pgbench")
        backends = [int(pid) for pid in self.sql(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'pgbench'").split()]
        self.assertEqual(len(backends), self.CLIENTS)
        watch = self.watch_activity()
        profile, grown = self.record(self.server.pid, lambda: time.sleep(4), backends)
        pgbench.__exit__()
        watch.process.terminate()
        samples = [tuple(map(int, line.split("|"))) for line in watch.rest_of_output() if "|" in line]
        self.assertGreater(len(samples), 50)
        self.check_whole(profile.rows.where(lambda row: row.pid in backends))
        # They go on before and after the counting.
        rate = max(voluntary for voluntary, _ in grown.values()) / 4
        self.check_switches(profile, grown, more=40 + 2.5 * rate)
        self.check_states(profile, samples, backends)

    def check_states(self, profile, samples, backends):
        rows = profile.rows.where(lambda row: row.pid in backends)
        for column, function, least in ((0, "ProcSleep", 0.3), (1, "pg_sleep", 0.1)):
            theirs = sum(sample[column] for sample in samples) / len(samples) / self.CLIENTS
            ours = rows.with_frame(function).wait / profile.duration / self.CLIENTS
            with self.subTest(function):
                self.assertGreater(theirs, least)
                self.assertAlmostEqual(ours, theirs, delta=0.06, msg=rows.with_frame(function).text())
        # Its latches: an event loop's wait for several descriptors. Few wait for the lock of its own table of locks.
        locks = rows.with_frame("ProcSleep").voluntary()
        self.assertGreater(locks.of_kind("poll").wait, 0.95 * locks.wait, locks.text())
        self.assertEqual(locks.where(lambda row: row.labels.get("idle") == "yes"), [], locks.text())

    def test_a_client_that_waits_for_postgresql_says_so(self):
        client = self.beside([str(self.programs / "psql"), "-c", "SELECT pg_sleep(30)", *self.connection])
        time.sleep(0.3)
        profile, _ = self.record(client.pid, lambda: time.sleep(0.5), [client.pid])
        rows = profile.rows.of_thread(client.pid)
        self.assertEqual(rows.kinds(), {"socket": (1, rows.wait)}, rows.text())
        self.assertEqual({(row.labels.get("peer"), row.labels.get("protocol")) for row in rows},
                         {(f"{self.HOST}:5432", "postgresql")}, rows.text())


TLS_CLIENT = """
import os, socket, ssl, sys, time
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
print("READY", os.getpid(), flush=True)
sys.stdin.readline()
for _ in range(5):
    with context.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[1])))) as connection:
        for _ in range(20):
            connection.sendall(b"?")
            connection.recv(1)
print("DONE", flush=True)
sys.stdin.readline()
"""


class Tls(Server):
    def test_an_encrypted_connection_that_is_slow(self):
        self.need("openssl")
        import ssl
        certificate = self.folder / "certificate.pem"
        self.run_to_end(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
                         "-keyout", certificate, "-out", self.folder / "public.pem"])
        with certificate.open("a") as both:
            both.write((self.folder / "public.pem").read_text())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server = slow_peers.backend(0.005)
        self.addCleanup(slow_peers.close, server)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        port = server.server_address[1]
        client = t.Child([sys.executable, "-c", TLS_CLIENT, str(port)], stdin=subprocess.PIPE)
        self.addCleanup(client.__exit__)
        client.wait_for_line("READY")

        def play():
            client.process.stdin.write(b"go\n")
            client.process.stdin.flush()
            client.wait_for_line("DONE")

        profile, grown = self.record(client.pid, play, [client.pid])
        self.check_switches(profile, grown)
        rows = profile.rows.of_thread(client.pid)
        encrypted = rows.of_kind("tls")
        peers = collections.Counter(row.labels.get("peer") for row in encrypted)
        self.assertEqual(list(peers), [f"127.0.0.1:{port}"], rows.text())
        self.assertGreaterEqual(encrypted.with_frame("SSL_read").count + encrypted.with_frame("SSL_read_ex").count,
                                100, rows.text())
        # Its function is no frame: it ends with a jump.
        shaken = encrypted.where(lambda row: row.labels.get("tls") == "handshake")
        self.assertGreaterEqual(shaken.count, 1, rows.text())
        self.assertGreaterEqual(encrypted.wait, 100 * 5_000_000, rows.text())
        self.assertEqual(rows.of_kind("socket"), [], rows.of_kind("socket").text())


if __name__ == "__main__":
    t.main()
