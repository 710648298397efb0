"""Threads that use CPU time in known shares and sleep for known times, and say how much of each it was.

    known_shares.py [rounds]
"""
import sys
import time

import directed

THREADS = 3
ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 20
UNIT = 0.002  # seconds of CPU time
# Function: (times in a round, seconds of each). Stops in the same C function, with the same native stack.
SLEEPS = {"sleep_long": (1, 0.009), "sleep_middle": (2, 0.003), "sleep_short": (4, 0.001)}
# One function that sleeps, for two callers.
SHARED = {"first_caller": 0.002, "second_caller": 0.006}


def burn_half():
    return directed.burn(5 * UNIT)


def burn_third():
    return directed.burn(3 * UNIT)


def burn_fifth():
    return directed.burn(2 * UNIT)


def measured(function, *arguments):
    begin = time.monotonic()
    function(*arguments)
    return time.monotonic() - begin


def sleep_long():
    time.sleep(SLEEPS["sleep_long"][1])


def sleep_middle():
    time.sleep(SLEEPS["sleep_middle"][1])


def sleep_short():
    time.sleep(SLEEPS["sleep_short"][1])


def shared_sleep(seconds):
    time.sleep(seconds)


def first_caller():
    shared_sleep(SHARED["first_caller"])


def second_caller():
    shared_sleep(SHARED["second_caller"])


def work():
    cpu = {"burn_half": 0.0, "burn_third": 0.0, "burn_fifth": 0.0}
    slept = {}
    for _ in range(ROUNDS):
        for function in (burn_half, burn_third, burn_fifth):
            cpu[function.__name__] += function()
        for function in (sleep_long, sleep_middle, sleep_short, first_caller, second_caller):
            name = function.__name__
            times, nominal = SLEEPS.get(name) or (1, SHARED[name])
            for _ in range(times):
                row = slept.setdefault(name, {"count": 0, "least": 0.0, "most": 0.0})
                row["count"] += 1
                row["least"] += nominal
                row["most"] += measured(function)
    return {"cpu": cpu, "slept": slept}


def play():
    return directed.run_threads({"known %d" % number: work for number in range(THREADS)})


if __name__ == "__main__":
    sys.exit(directed.direct(play))
