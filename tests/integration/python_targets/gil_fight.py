"""One thread keeps the GIL for long in a C function; others want it, and say how long they went without."""
import sys
import threading
import time

import directed

SECONDS = 0.6
PAUSE = 0.001
WANTING = 2


def calibrate():
    """How far to sum so that it takes about 40 ms, in which the GIL is not given away."""
    begin = time.thread_time()
    sum(range(1000000))
    return int(0.04 / max(time.thread_time() - begin, 1e-4) * 1000000)


def hold_gil(upto):
    return sum(range(upto))


def hold(upto, end):
    held, cpu, times = 0.0, 0.0, 0
    while time.monotonic() < end:
        begin, cpu_begin = time.monotonic(), time.thread_time()
        hold_gil(upto)
        held += time.monotonic() - begin
        cpu += time.thread_time() - cpu_begin
        times += 1
        let_go()
    return {"held": held, "cpu": cpu, "times": times}


def let_go():
    time.sleep(PAUSE)


def want_gil():
    time.sleep(PAUSE)


def want(end):
    """What a pause took longer than it should have is what it waited for the GIL, and for a CPU."""
    without, pauses = 0.0, 0
    while time.monotonic() < end:
        begin = time.monotonic()
        want_gil()
        without += time.monotonic() - begin - PAUSE
        pauses += 1
    return {"without": without, "pauses": pauses}


def play():
    upto = calibrate()
    end = time.monotonic() + SECONDS
    threads = {"holder": lambda: hold(upto, end)}
    threads.update({"wanting %d" % number: lambda: want(end) for number in range(WANTING)})
    return directed.run_threads(threads)


if __name__ == "__main__":
    threading.current_thread().name = "director"
    sys.exit(directed.direct(play))
