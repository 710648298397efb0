"""160 threads that mostly sleep, and what a unit of their work costs.

    many_threads.py [threads]    prints `READY pid`; on each line `run SECONDS` on its standard input it works for so
                                 long and prints `RESULT {json}`
"""
import json
import os
import sys
import threading
import time

PAUSE = 0.05


def unit_of_work():
    total = 0
    for i in range(2000):
        total += i
    return total


def nap():
    time.sleep(PAUSE)


def mostly_sleep(counts, number):
    while True:
        nap()
        unit_of_work()
        counts[number] += 1


def heartbeat(stalls):
    """The longest time that a thread which wants nothing but to go on did not."""
    while True:
        begin = time.monotonic()
        time.sleep(0.001)
        stalls[0] = max(stalls[0], time.monotonic() - begin)


def run(counts, stalls, seconds):
    stalls[0] = 0.0
    begin = time.monotonic(), time.process_time(), sum(counts)
    time.sleep(seconds)
    end = time.monotonic(), time.process_time(), sum(counts)
    return {"seconds": end[0] - begin[0], "cpu": end[1] - begin[1], "units": end[2] - begin[2], "stall": stalls[0]}


def main():
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 160
    counts, stalls = [0] * number, [0.0]
    for i in range(number):
        threading.Thread(target=mostly_sleep, args=(counts, i), name="sleeper %d" % i, daemon=True).start()
    threading.Thread(target=heartbeat, args=(stalls,), name="heartbeat", daemon=True).start()
    print("READY", os.getpid(), flush=True)
    for line in sys.stdin:
        print("RESULT", json.dumps(run(counts, stalls, float(line.split()[1]))), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
