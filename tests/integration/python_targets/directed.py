"""How the programs of this folder are told what to do, as those of measured_waits.h are.

They print `READY pid`, wait for a line on their standard input, play, print `TRUTH {json}`, and wait for its end.
Between, only functions without Python frames of other files are called.
"""
import json
import os
import sys
import threading
import time


def wait_for_line():
    os.read(0, 1024)


def direct(play):
    """`play()` returns what is true."""
    print("READY", os.getpid(), flush=True)
    wait_for_line()
    truth = play()
    print("TRUTH", json.dumps(truth), flush=True)
    wait_for_line()


def burn(seconds):
    """Uses so much CPU time of its thread in its caller's name; returns what it was."""
    begin = time.thread_time()
    while time.thread_time() - begin < seconds:
        for _ in range(50):
            pass
    return time.thread_time() - begin


def run_threads(functions):
    """Each in a thread of its name; returns what they returned."""
    results = {}

    def call(name, function):
        results[name] = {"tid": threading.get_native_id(), **function()}

    threads = [threading.Thread(target=call, args=row, name=row[0]) for row in functions.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


if __name__ == "__main__":
    sys.exit("this is no program")
