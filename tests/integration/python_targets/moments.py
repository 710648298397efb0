"""What comes and goes during a profile: threads that live for a moment, forks, processes of multiprocessing, and
programs that another interpreter runs.

    moments.py OTHER_PYTHON
"""
import multiprocessing
import os
import subprocess
import sys
import threading
import time

import directed

CPU = 0.03
OTHER_CPU = 0.08
PAUSE = 0.02
TIMES = 5
IN_OTHER = """
import os, time
def in_other_inner():
    begin = time.process_time()
    while time.process_time() - begin < {cpu}:
        pass
    time.sleep({pause})
def in_other():
    in_other_inner()
in_other()
print(os.getpid())
""".format(cpu=OTHER_CPU, pause=PAUSE)


def short_work():
    directed.burn(CPU)
    short_pause()


def short_pause():
    time.sleep(PAUSE)


def fork_work():
    directed.burn(CPU)
    fork_pause()


def fork_pause():
    time.sleep(PAUSE)


def spawned_work(pids):
    pids.put(os.getpid())
    directed.burn(CPU)
    spawned_pause()


def spawned_pause():
    time.sleep(PAUSE)


def start_threads():
    for number in range(TIMES):
        thread = threading.Thread(target=short_work, name="short %d" % number)
        thread.start()
        thread.join()


def fork_once():
    pid = os.fork()
    if not pid:
        fork_work()
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


def start_processes(method):
    context = multiprocessing.get_context(method)
    pids = context.SimpleQueue()
    processes = [context.Process(target=spawned_work, args=(pids,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [pids.get() for _ in processes]


def start_other():
    if len(sys.argv) < 2:
        return []
    return [int(subprocess.check_output([sys.argv[1], "-c", IN_OTHER])) for _ in range(TIMES)]


def play():
    start_threads()
    return {"forked": [fork_once() for _ in range(TIMES)], "multiprocessing fork": start_processes("fork"),
            "multiprocessing spawn": start_processes("spawn"), "other": start_other(), "cpu": CPU, "pause": PAUSE,
            "times": TIMES}


if __name__ == "__main__":
    sys.exit(directed.direct(play))
