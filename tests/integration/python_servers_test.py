#!/usr/bin/env python3
"""Python's servers with several processes, as Debian ships them: endpoints under their framework in every worker, also
in those that come anew, and time slept and computed in them beside what the clients know of it."""

import collections
import http.client
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import python_stacks
import whyslow_testing as t
from python_interpreters import TARGETS
from wait_rows import Recorder, WaitCase

CPU, SLEEP = 0.005, 0.010  # seconds of /compute and of /sleep
FLASK = ("__call__", "wsgi_app", "full_dispatch_request", "dispatch_request")


def in_order(names, wanted):
    """These are there in this order, whatever is between them."""
    names = iter(names)
    return all(name in names for name in wanted)


class Load:
    """Requests by several clients, each over a connection of its own."""

    def __init__(self, port):
        self.port = port
        self.answers = collections.Counter()  # (path, pid of the worker)
        self.seconds = collections.Counter()  # path: what the clients waited
        self.failures = 0
        self.lock = threading.Lock()

    def ask(self, path):
        begin = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            answer = response.read().decode()
            worker = int(answer) if response.status == 200 else 0
        except (OSError, http.client.HTTPException):
            worker = 0
        finally:
            connection.close()
        with self.lock:
            self.seconds[path] += time.monotonic() - begin
            self.answers[path, worker] += bool(worker)
            self.failures += not worker
        return worker

    def run(self, paths, clients=4):
        """All of them, in this order, by so many clients."""
        left = collections.deque(paths)

        def client():
            while True:
                try:
                    path = left.popleft()
                except IndexError:
                    return
                self.ask(path)

        threads = [threading.Thread(target=client) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def of(self, path):
        return sum(count for (asked, _), count in self.answers.items() if asked == path)

    @property
    def workers(self):
        return {worker for (_, worker), count in self.answers.items() if count}


class Servers(WaitCase):
    WORKERS = 2

    def serve(self, command):
        if shutil.which(command[0]) is None:
            self.skipTest(f"{command[0]} is not installed (scripts/setup)")
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "SHOP_CPU_MS": f"{1000 * CPU:g}",
                       "SHOP_SLEEP_MS": f"{1000 * SLEEP:g}"}
        self.port = t.free_port()
        words = [word.format(port=self.port) for word in command]
        server = t.Child(words, cwd=TARGETS, env=environment, stderr=subprocess.DEVNULL)
        self.addCleanup(server.__exit__)
        warm = Load(self.port)
        t.wait_until(lambda: warm.ask("/sleep") and len(warm.workers) == self.WORKERS, seconds=60,
                     what=f"{self.WORKERS} workers of {command[0]}")
        return server

    def gunicorn(self, kind, *options, app="shop_wsgi:app"):
        return self.serve(["gunicorn", "-k", kind, "-w", str(self.WORKERS), "-b", "127.0.0.1:{port}", *options, app])

    def record(self, server, play):
        load = Load(self.port)
        recorder = Recorder(self, server.pid, "--frequency", 1000)
        play(load)
        return python_stacks.from_pprof(self.read(recorder.finish()).pprof), load

    @staticmethod
    def mixture(load):
        load.run(["/compute", "/sleep", "/sleep"] * 40)

    def check_computed(self, stacks, load, above, own=("compute_endpoint", "price_everything")):
        computed = stacks.with_function("price_everything")
        wrong = computed.where(lambda stack: not in_order(stack.names, (*above, *own)))
        self.assertEqual(wrong, [], wrong.text(3))
        self.assertEqual({stack.labels["pid"] for stack in computed.on_cpu()},
                         {pid for (path, pid), count in load.answers.items() if path == "/compute" and count})
        true = load.of("/compute") * CPU
        self.assertAlmostEqual(computed.on_cpu().cpu / 1e9, true, delta=0.15 * true, msg=computed.text())

    def check_slept(self, stacks, load, above):
        slept = stacks.with_function("wait_for_stock").of_kind("sleep")
        wrong = slept.where(lambda stack: not in_order(stack.names, (*above, "sleep_endpoint", "wait_for_stock")))
        self.assertEqual(wrong, [], wrong.text(3))
        self.assertEqual(slept.weight, load.of("/sleep"), slept.text())
        # From 3.11 on a sleep ends at a moment that is set before the GIL is given away, which may take a while.
        self.assertGreaterEqual(slept.wait / 1e9, 0.9 * load.of("/sleep") * SLEEP, slept.text())
        self.assertLessEqual(slept.wait / 1e9, load.seconds["/sleep"], slept.text())

    def check_all(self, server, *above):
        stacks, load = self.record(server, self.mixture)
        self.assertEqual(load.failures, 0)
        self.check_computed(stacks, load, above)
        self.check_slept(stacks, load, above)

    def test_gunicorn_sync(self):
        self.check_all(self.gunicorn("sync"), "spawn_worker", "init_process", "run", "handle", "handle_request", *FLASK)

    def test_gunicorn_with_threads(self):
        self.check_all(self.gunicorn("gthread", "--threads", "3"), "_bootstrap", "_worker", "run", "handle",
                       "handle_request", *FLASK)

    def test_gunicorn_with_uvicorn(self):
        self.check_all(self.gunicorn("uvicorn.workers.UvicornWorker", app="shop_asgi:app"), "init_process", "run_forever",
                       "_run_once", "_run", "run_asgi", "app", "dispatch")

    def test_uwsgi(self):
        self.check_all(self.serve(["uwsgi", "--plugin", "python3", "--http-socket", "127.0.0.1:{port}", "--wsgi-file",
                                   "shop_wsgi.py", "--callable", "app", "--master", "--processes", str(self.WORKERS),
                                   "--threads", "2", "--enable-threads", "--die-on-term"]), *FLASK)

    # Greenlets: the stack of the one that runs, and not of that which started it. One that sleeps gives the thread to
    # the hub; it is the hub that waits.
    def test_gunicorn_with_gevent(self):
        stacks, load = self.record(self.gunicorn("gevent"), self.mixture)
        self.assertEqual(load.failures, 0)
        self.check_computed(stacks, load, ("handle", "handle_request", *FLASK))
        endpoints = stacks.where(lambda stack: stack.has("compute_endpoint") or stack.has("sleep_endpoint"))
        mixed = endpoints.where(lambda stack: stack.has("init_process") or stack.has("spawn_worker"))
        self.assertEqual(mixed, [], mixed.text(3))
        asleep = stacks.with_function("wait_for_stock").of_kind("sleep", "poll")
        self.assertEqual(asleep, [], asleep.text(3))

    def test_workers_that_come_anew_are_in_the_same_profile(self):
        server = self.gunicorn("sync")
        stacks, load = self.record(server, lambda load: self.restart(server, load))
        self.assertGreaterEqual(len(load.workers), 2 * self.WORKERS + 1, load.answers)
        slept, computed = stacks.with_function("wait_for_stock"), stacks.with_function("price_everything")
        for worker in load.workers:
            mine = [rows.where(lambda stack, worker=worker: stack.labels["pid"] == worker) for rows in (slept, computed)]
            with self.subTest(f"worker {worker}"):
                self.assertGreaterEqual(mine[0].of_kind("sleep").weight, load.answers["/sleep", worker])
                true = load.answers["/compute", worker] * CPU
                self.assertGreaterEqual(mine[1].on_cpu().cpu / 1e9, 0.7 * true, mine[1].text())
                wrong = mine[1].where(lambda stack: not in_order(stack.names, ("handle_request", *FLASK)))
                self.assertEqual(wrong, [], wrong.text(3))

    def restart(self, server, load):
        """All workers by HUP, then one by TERM; requests before, between and after."""
        self.ask_all(load, 0)
        os.kill(server.pid, signal.SIGHUP)
        self.ask_all(load, self.WORKERS)
        known = len(load.workers)
        os.kill(max(load.workers), signal.SIGTERM)  # one of the youngest, which live
        self.ask_all(load, known + 1 - self.WORKERS)

    # Sleeping and computing of each worker.
    def ask_all(self, load, known):
        t.wait_until(lambda: load.run(["/compute", "/sleep"] * 8) or len(load.workers) >= known + self.WORKERS,
                     seconds=60, what=f"{known + self.WORKERS} workers")


if __name__ == "__main__":
    if "--python" not in t.help_of("attach"):
        print("SKIPPED: this build has no --python")
        sys.exit(t.SKIPPED)
    t.main()
