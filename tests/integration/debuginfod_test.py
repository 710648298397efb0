#!/usr/bin/env python3
"""Debug files that come over HTTP: names that the stripped program does not have itself."""

import http.server
import os
import shutil
import subprocess
import sys
import threading
import unittest
import unittest.mock

import whyslow_testing as t

SOURCE = """
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
static volatile uint64_t sink;
static inline __attribute__((always_inline)) uint64_t mix(uint64_t x) { return x * 2654435761u ^ x >> 7; }
static __attribute__((noinline)) void hidden_work(void) {
  for (int i = 0; i < 1000000; ++i) sink = mix(sink + i);
}
int main(int argc, char** argv) {
  const time_t end = time(NULL) + atoi(argv[1]);
  puts("READY");
  fflush(stdout);
  while (time(NULL) < end) hidden_work();
  return 0;
}
"""


class Server:
    """Answers like a debuginfod: FILES maps a build ID to a path; `silent` takes requests and never answers."""

    def __init__(self, files, silent=False):
        self.requests = []
        self.released = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests.append(self.path)
                if silent:
                    outer.released.wait(30)
                    return
                parts = self.path.strip("/").split("/")
                path = files.get(parts[1]) if len(parts) == 3 and parts[2] == "debuginfo" else None
                if path is None:
                    self.send_error(404)
                    return
                with open(path, "rb") as file:
                    content = file.read()
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_error):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Debuginfod(t.Case):
    def setUp(self):
        super().setUp()
        with open(self.at("hidden.c"), "w", encoding="utf-8") as source:
            source.write(SOURCE)
        subprocess.run(["gcc", "-g", "-O2", "-Wl,--build-id", "-o", self.at("full"), self.at("hidden.c")], check=True)
        subprocess.run(["objcopy", "--only-keep-debug", self.at("full"), self.at("full.debug")], check=True)
        subprocess.run(["strip", "--strip-all", "-o", self.at("hidden"), self.at("full")], check=True)
        notes = subprocess.run(["readelf", "-n", self.at("hidden")], check=True, capture_output=True, text=True).stdout
        self.build_id = notes.split("Build ID: ")[1].split()[0]

    def at(self, name):
        return str(self.folder / name)

    def profile(self, *options, **environment):
        with subprocess.Popen([self.at("hidden"), "20"], stdout=subprocess.PIPE) as target:
            try:
                target.stdout.readline()
                with unittest.mock.patch.dict(os.environ, {"DEBUGINFOD_CACHE_PATH": self.at("cache"),
                                                           "DEBUGINFOD_TIMEOUT": "1", **environment}):
                    return self.attach(target.pid, "--duration", "1s", *options)
            finally:
                target.kill()

    def test_names_and_inlined_frames_come_from_the_server(self):
        with Server({self.build_id: self.at("full.debug")}) as server:
            outcome = self.profile("--debuginfod", "yes", DEBUGINFOD_URLS=server.url)
            self.assertIn(f"/buildid/{self.build_id}/debuginfo", server.requests)
        folded = self.assert_profile(outcome)
        self.assertGreater(folded.share("hidden_work"), 0.9, folded.summary())
        self.assertGreater(folded.share("mix"), 0.3, folded.summary())
        self.assertNotIn("debuginfod", outcome.stderr)

    def test_the_second_time_it_comes_from_the_cache(self):
        with Server({self.build_id: self.at("full.debug")}) as server:
            self.profile("--debuginfod", "yes", DEBUGINFOD_URLS=server.url)
            url = server.url
        outcome = self.profile("--debuginfod", "yes", DEBUGINFOD_URLS=url)
        self.assertGreater(self.assert_profile(outcome).share("hidden_work"), 0.9)

    def test_nobody_is_asked_unless_told_to(self):
        with Server({self.build_id: self.at("full.debug")}) as server:
            outcome = self.profile(DEBUGINFOD_URLS=server.url)
            self.assertEqual(server.requests, [])
        self.assertEqual(self.assert_profile(outcome).share("hidden_work"), 0)

    def test_a_file_of_another_program_is_not_believed(self):
        with Server({self.build_id: "/bin/true"}) as server:
            outcome = self.profile("--debuginfod", "yes", DEBUGINFOD_URLS=server.url)
        self.assertIn("the server sent another file", outcome.stderr)
        self.assertEqual(self.assert_profile(outcome).share("hidden_work"), 0)

    def test_a_server_that_does_not_answer_costs_no_profile(self):
        with Server({}, silent=True) as server:
            outcome = self.profile("--debuginfod", "yes", DEBUGINFOD_URLS=server.url)
        self.assertIn("note: debuginfod: no answer for", outcome.stderr)
        self.assertGreater(self.assert_profile(outcome).total, 50)

    def test_without_servers_it_is_wrong_usage(self):
        outcome = self.profile("--debuginfod", "yes", DEBUGINFOD_URLS="")
        self.assertEqual(outcome.code, 2)
        self.assertIn("--debuginfod yes: DEBUGINFOD_URLS is not set", outcome.stderr)


if __name__ == "__main__":
    for tool in ("gcc", "objcopy", "strip", "readelf"):
        if shutil.which(tool) is None:
            print(f"SKIPPED: {tool} is not installed")
            sys.exit(t.SKIPPED)
    t.main()
