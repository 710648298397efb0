"""Threads that are stuck, each in a known place, for `whyslow dump`.

    stuck.py SECONDS [hog]

With `hog` a thread takes the GIL at last and keeps it, in a call of C; another one wants it then.
Prints READY PID, PEER ADDRESS, then TRUTH with what each thread said of itself before it went to where it is stuck:
its number, its Python frames (leaf first), and when that was.
"""

import json
import os
import socket
import sys
import threading
import time

truth = {}


def note():
    """Where the caller is: its own lines, as the interpreter counts them."""
    frames, frame = [], sys._getframe(1)
    while frame:
        code = frame.f_code
        frames.append([getattr(code, "co_qualname", code.co_name), os.path.basename(code.co_filename), frame.f_lineno])
        frame = frame.f_back
    truth[threading.current_thread().name] = {
        "tid": threading.get_native_id(), "frames": frames, "at": time.monotonic()}


def wait_for_lock(lock, count=42, name="it's", ratio=0.1):
    nothing, yes, big, negative = None, True, 2 ** 70, -7
    raw, short, pair, none = b"a\x00b", [1, "two", 3.0], (1,), ()
    table, long, deep = {"a": 1, 2: [3]}, list(range(20)), "x" * 200

    def inner():
        return count

    note(); lock.acquire()
    return inner, nothing, yes, big, negative, raw, short, pair, none, table, long, deep, name, ratio


class Receiver:
    def __init__(self, connection):
        self.connection = connection

    def receive(self):
        note(); self.connection.recv(10)


def sleep_long():
    note(); time.sleep(100000)


def spin():
    note()
    while True:
        pass


def hog():
    time.sleep(0.7)
    note(); tell(); sum(range(10 ** 15))


def want_gil():
    time.sleep(1.0)
    while True:
        pass


def tell():
    print("TRUTH", json.dumps(truth), flush=True)


def connection():
    """One to a server that accepts and says nothing."""
    server = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(server.getsockname())
    print("PEER", "%s:%d" % server.getsockname(), flush=True)
    return client, server, server.accept()


def main():
    threading.Thread(target=lambda: (time.sleep(float(sys.argv[1])), os._exit(0)), daemon=True, name="end").start()
    is_stuck = sys.argv[2:] == ["hog"]
    lock = threading.Lock()
    lock.acquire()
    kept = connection()
    threads = [threading.Thread(target=wait_for_lock, args=(lock,), name="locker"),
               threading.Thread(target=Receiver(kept[0]).receive, name="receiver"),
               threading.Thread(target=sleep_long, name="sleeper")]
    threads += [threading.Thread(target=hog, name="hog"), threading.Thread(target=want_gil, name="wanting")] \
        if is_stuck else [threading.Thread(target=spin, name="spinner")]
    print("READY", os.getpid(), flush=True)
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    wait_for(threads[0], is_stuck)


def wait_for(thread, is_stuck):
    note(); is_stuck or tell(); thread.join()


main()
