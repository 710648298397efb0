"""A program of which every pair of caller and callee is known: TABLE below names them, by construction.

Stacks change quickly, are deep, recursive, and left and entered in all the ways that Python has, and threads stop at
every moment: they sleep, wait for locks, sockets and the GIL. A profiler that mixes the frames of two moments shows
pairs that are not in the table. Runs on every CPython from 3.8 on, without anything beside it.

    legal_pairs.py                prints `TABLE {json}`, then `READY pid`; goes on until its standard input ends
    legal_pairs.py --self-check   lets the interpreter itself report all calls for a while, and compares
"""
import _thread
import functools
import itertools
import json
import os
import re
import socket
import sqlite3
import sys
import threading
import time

# Caller: callees. Names are those of code objects (co_name), each used once in this file; of another file's functions
# they have the file in front.
TABLE = {
    "<module>": "main",
    "main": "run_until_told",
    "threading.py:_bootstrap": "threading.py:_bootstrap_inner",
    "threading.py:_bootstrap_inner": "threading.py:run",
    "threading.py:run": "walk_hops dive walk_generators walk_callbacks walk_objects walk_flow start_short ask answer "
                        "ping pong",
    # A walk through a graph in which each function may call only two others.
    "walk_hops": "hop_a hop_d hop_g",
    "hop_a": "hop_b hop_f rest_spin",
    "hop_b": "hop_c hop_k rest_sleep",
    "hop_c": "hop_h hop_l rest_spin",
    "hop_d": "hop_e hop_i rest_sleep",
    "hop_e": "hop_a hop_j rest_lock",
    "hop_f": "hop_c hop_g rest_spin",
    "hop_g": "hop_d hop_l rest_lock",
    "hop_h": "hop_e hop_b rest_spin",
    "hop_i": "hop_f hop_h rest_sleep",
    "hop_j": "hop_i hop_d rest_spin",
    "hop_k": "hop_g hop_a rest_lock",
    "hop_l": "hop_j hop_k rest_sleep",
    # Deep, and back.
    "dive": "dive_even",
    "dive_even": "dive_odd bottom",
    "dive_odd": "dive_even bottom",
    "bottom": "bottom_spin bottom_sleep bottom_climb",
    "bottom_climb": "bottom_climb bottom_end",
    # Generators.
    "walk_generators": "gen_outer gen_tree gen_counted <genexpr> gen_sent",
    "gen_outer": "gen_middle",
    "gen_middle": "gen_inner",
    "gen_inner": "gen_work",
    "gen_work": "gen_rest",
    "gen_tree": "gen_tree gen_leaf",
    "gen_counted": "gen_number",
    "<genexpr>": "gen_of_expression",
    "gen_sent": "gen_answer",
    # Through C and back.
    "walk_callbacks": "by_sorted by_map by_reduce by_regex by_sqlite by_compare by_filter by_partial",
    "by_sorted": "key_of",
    "key_of": "key_inside",
    "key_inside": "key_rest",
    "by_map": "mapped",
    "mapped": "mapped_inside",
    "mapped_inside": "by_nested",
    "by_nested": "key_of_nested",
    "by_reduce": "reduced",
    "reduced": "reduced_inside",
    "by_regex": "replaced",
    "replaced": "replaced_inside",
    "by_sqlite": "sql_function",
    "sql_function": "sql_inside",
    "sql_inside": "sql_rest",
    "by_compare": "compared",
    "compared": "compared_inside",
    "by_filter": "filtered",
    "by_partial": "partly",
    "partly": "partly_inside",
    # Methods of all kinds, closures, comprehensions.
    "walk_objects": "__init__ method static_one class_one prop __call__ __getattr__ __enter__ __exit__ __iter__ "
                    "__next__ __getitem__ __eq__ __len__ decorating maker closure <lambda> comprehends",
    "__init__": "init_inside",
    "method": "method_inside",
    "method_inside": "method_rest",
    "static_one": "static_inside",
    "class_one": "class_inside",
    "prop": "prop_inside",
    "__call__": "call_inside",
    "__getattr__": "attribute_inside",
    "__enter__": "enter_inside",
    "__exit__": "exit_inside",
    "__next__": "next_inside",
    "__getitem__": "item_inside",
    "__eq__": "equal_inside",
    "decorating": "decorated",
    "decorated": "decorated_inside",
    "closure": "closure_inside",
    "<lambda>": "lambda_inside",
    "comprehends": "<listcomp> <setcomp> <dictcomp>",
    "<listcomp>": "in_list",
    "<setcomp>": "in_set",
    "<dictcomp>": "in_dict",
    # Exceptions, and frames that are left and entered at once.
    "walk_flow": "catches cleans many_small",
    "catches": "raises_later caught",
    "raises_later": "raises_now",
    "caught": "caught_inside",
    "cleans": "raises_and_cleans after_all",
    "raises_and_cleans": "cleaned",
    "cleaned": "cleaned_inside",
    "many_small": "small_a small_b small_c small_d",
    "small_a": "smaller_a",
    "small_b": "smaller_b",
    "small_c": "smaller_c",
    "small_d": "smaller_d",
    # Threads that live for a moment.
    "short_root": "short_one",
    "short_one": "short_two short_three",
    "short_two": "short_end",
    "short_three": "short_rest",
    # Round trips from several stacks.
    "ask": "ask_left ask_right",
    "ask_left": "ask_more round_trip",
    "ask_right": "ask_less round_trip",
    "ask_more": "ask_right",
    "ask_less": "ask_left",
    "answer": "answer_one",
    "answer_one": "answer_inside",
    # Two threads that hand each other locks.
    "ping": "ping_wait ping_give",
    "ping_wait": "ping_acquire",
    "pong": "pong_wait pong_give",
    "pong_wait": "pong_acquire",
}
ROOTS = ["<module>", "threading.py:_bootstrap", "short_root"]

# Between these two there is C code: the caller's C function, and functions that have to be on the native stack.
THROUGH_C = {
    "by_sorted key_of": ["list_sort", "builtin_sorted"],
    "by_reduce reduced": ["functools_reduce", "_functools_reduce"],
    "by_regex replaced": ["pattern_subx", "_sre_SRE_Pattern_sub"],
    "by_sqlite sql_function": ["sqlite3_step", "_pysqlite_func_callback", "func_callback"],
}

# From 3.12 on these comprehensions are a part of the function around them.
if sys.version_info >= (3, 12):
    TABLE["comprehends"] = "in_list in_set in_dict"
    for inlined in ("<listcomp>", "<setcomp>", "<dictcomp>"):
        del TABLE[inlined]

MOMENT = 0.0002
DEEPEST = 300
VOWEL = re.compile("[aeiou]")


def numbers(seed, below, count=4999):
    """Chance without a Python frame at the place where it is asked for, and the same in each run."""
    found = []
    for _ in range(count):
        seed = (seed * 6364136223846793005 + 1442695040888963407) & 0xffffffffffffffff
        found.append((seed >> 33) % below)
    return itertools.cycle(found).__next__


coin, length, lot, rests = numbers(1, 2), numbers(2, 60), numbers(3, 16), numbers(4, 40)
depth, climb = numbers(5, DEEPEST), numbers(6, 40)
hop_lock = threading.Lock()
coins = {"ask": numbers(20, 2)}




# ---------------------------------------------------------------------------------------------

def walk_hops():
    while True:
        (hop_a, hop_d, hop_g)[lot() % 3](length())


def hop_a(n): return (hop_b if coin() else hop_f)(n - 1) if n > 0 else rest_spin()
def hop_b(n): return (hop_c if coin() else hop_k)(n - 1) if n > 0 else rest_sleep()
def hop_c(n): return (hop_h if coin() else hop_l)(n - 1) if n > 0 else rest_spin()
def hop_d(n): return (hop_e if coin() else hop_i)(n - 1) if n > 0 else rest_sleep()
def hop_e(n): return (hop_a if coin() else hop_j)(n - 1) if n > 0 else rest_lock()
def hop_f(n): return (hop_c if coin() else hop_g)(n - 1) if n > 0 else rest_spin()
def hop_g(n): return (hop_d if coin() else hop_l)(n - 1) if n > 0 else rest_lock()
def hop_h(n): return (hop_e if coin() else hop_b)(n - 1) if n > 0 else rest_spin()
def hop_i(n): return (hop_f if coin() else hop_h)(n - 1) if n > 0 else rest_sleep()
def hop_j(n): return (hop_i if coin() else hop_d)(n - 1) if n > 0 else rest_spin()
def hop_k(n): return (hop_g if coin() else hop_a)(n - 1) if n > 0 else rest_lock()
def hop_l(n): return (hop_j if coin() else hop_k)(n - 1) if n > 0 else rest_sleep()


def rest_spin():
    for _ in range(rests()):
        pass


def rest_sleep():
    if rests() == 0:
        time.sleep(MOMENT)


def rest_lock():
    with hop_lock:
        for _ in range(rests()):
            pass


# ---------------------------------------------------------------------------------------------

def dive():
    while True:
        dive_even(depth())


def dive_even(n):
    return dive_odd(n - 1) if n > 0 else bottom()


def dive_odd(n):
    return dive_even(n - 1) if n > 0 else bottom()


def bottom():
    (bottom_spin, bottom_sleep)[rests() == 0]()
    bottom_climb(climb())


def bottom_spin():
    for _ in range(rests()):
        pass


def bottom_sleep():
    time.sleep(MOMENT)


def bottom_climb(n):
    if n > 0:
        bottom_climb(n - 1)
    else:
        bottom_end()


def bottom_end():
    pass


# ---------------------------------------------------------------------------------------------

def walk_generators():
    while True:
        for _ in gen_outer():
            pass
        for _ in gen_tree(5):
            pass
        sum(gen_counted())
        max(gen_of_expression(i) for i in range(20))
        asked = gen_sent()
        asked.send(None)
        for i in range(10):
            asked.send(i)


def gen_outer():
    yield from gen_middle()


def gen_middle():
    yield from gen_inner()


def gen_inner():
    for _ in range(10):
        yield gen_work()


def gen_work():
    gen_rest()


def gen_rest():
    if rests() == 0:
        time.sleep(MOMENT)


def gen_tree(n):
    if n:
        yield from gen_tree(n - 1)
        yield gen_leaf()
        yield from gen_tree(n - 1)


def gen_leaf():
    return lot()


def gen_counted():
    for i in range(20):
        yield gen_number(i)


def gen_number(i):
    return i * i


def gen_of_expression(i):
    return i + lot()


def gen_sent():
    got = None
    while True:
        got = yield gen_answer(got)


def gen_answer(got):
    return got


# ---------------------------------------------------------------------------------------------

def walk_callbacks():
    database = sqlite3.connect(":memory:")
    database.create_function("f", 1, sql_function)
    while True:
        by_sorted()
        by_map()
        by_reduce()
        by_regex()
        by_sqlite(database)
        by_compare()
        by_filter()
        by_partial()


def by_sorted():
    return sorted(range(30), key=key_of)


def key_of(i):
    return key_inside(i)


def key_inside(i):
    key_rest()
    return -i


def key_rest():
    if rests() == 0:
        time.sleep(MOMENT)


def by_map():
    return list(map(mapped, range(10)))


def mapped(i):
    return mapped_inside(i)


def mapped_inside(i):
    return by_nested(i)


def by_nested(i):
    return sorted((i, 2, 1), key=key_of_nested)


def key_of_nested(i):
    return -i


def by_reduce():
    return functools.reduce(reduced, range(20))


def reduced(a, b):
    return reduced_inside(a, b)


def reduced_inside(a, b):
    return a + b


def by_regex():
    return VOWEL.sub(replaced, "a profile of each of the situations")


def replaced(match):
    return replaced_inside(match.group())


def replaced_inside(text):
    return text.upper()


def by_sqlite(database):
    return database.execute("SELECT f(1), f(2), f(3)").fetchall()


def sql_function(value):
    return sql_inside(value)


def sql_inside(value):
    sql_rest()
    return value + 1


def sql_rest():
    if rests() == 0:
        time.sleep(MOMENT)


def by_compare():
    return sorted((3, 1, 2, 5, 4), key=functools.cmp_to_key(compared))


def compared(a, b):
    return compared_inside(a, b)


def compared_inside(a, b):
    return a - b


def by_filter():
    return list(filter(filtered, range(10)))


def filtered(i):
    return i & 1


def by_partial():
    return functools.partial(partly, 1)(2)


def partly(a, b):
    return partly_inside(a, b)


def partly_inside(a, b):
    return a * b


# ---------------------------------------------------------------------------------------------

def decorate(function):
    def decorating(*arguments, **named):
        return function(*arguments, **named)
    return decorating


class Thing:
    def __init__(self):
        self.left = init_inside()

    def method(self):
        return self.method_inside()

    def method_inside(self):
        return method_rest()

    @staticmethod
    def static_one():
        return static_inside()

    @classmethod
    def class_one(cls):
        return class_inside()

    @property
    def prop(self):
        return prop_inside()

    def __call__(self):
        return call_inside()

    def __getattr__(self, name):
        return attribute_inside(name)

    def __enter__(self):
        return enter_inside()

    def __exit__(self, *_):
        exit_inside()

    def __iter__(self):
        return self

    def __next__(self):
        self.left -= 1
        if self.left < 0:
            raise StopIteration
        return next_inside()

    def __getitem__(self, index):
        return item_inside(index)

    def __eq__(self, other):
        return equal_inside()

    def __len__(self):
        return 3


def init_inside(): return 4
def method_rest(): return time.sleep(MOMENT) if rests() == 0 else None
def static_inside(): return lot()
def class_inside(): return lot()
def prop_inside(): return lot()
def call_inside(): return lot()
def attribute_inside(name): return name
def enter_inside(): return lot()
def exit_inside(): return lot()
def next_inside(): return lot()
def item_inside(index): return index
def equal_inside(): return False
def lambda_inside(n): return n
def in_list(i): return i
def in_set(i): return i
def in_dict(i): return i


@decorate
def decorated():
    return decorated_inside()


def decorated_inside():
    return lot()


def maker(n):
    def closure():
        return closure_inside(n)
    return closure


def closure_inside(n):
    return n


from_lambda = lambda n: lambda_inside(n)  # noqa: E731  the frame of a lambda is what is wanted


def comprehends():
    return [in_list(i) for i in range(8)], {in_set(i) for i in range(8)}, {i: in_dict(i) for i in range(8)}


def walk_objects():
    while True:
        thing = Thing()
        thing.method()
        Thing.static_one()
        Thing.class_one()
        thing.prop
        thing()
        thing.not_there
        with thing:
            pass
        for _ in thing:
            pass
        thing[1]
        thing == 3
        len(thing)
        decorated()
        maker(lot())()
        from_lambda(1)
        comprehends()


# ---------------------------------------------------------------------------------------------

def walk_flow():
    while True:
        catches()
        cleans()
        many_small()


def catches():
    try:
        raises_later(3)
    except ValueError:
        caught()


def raises_later(n):
    raises_now(n)


def raises_now(n):
    raise ValueError(n)


def caught():
    caught_inside()


def caught_inside():
    if rests() == 0:
        time.sleep(MOMENT)


def cleans():
    try:
        raises_and_cleans()
    except KeyError:
        pass
    after_all()


def raises_and_cleans():
    try:
        raise KeyError
    finally:
        cleaned()


def cleaned():
    cleaned_inside()


def cleaned_inside():
    return lot()


def after_all():
    return lot()


def many_small():
    for _ in range(20):
        small_a()
        small_b()
        small_c()
        small_d()


def small_a(): return smaller_a()
def small_b(): return smaller_b()
def small_c(): return smaller_c()
def small_d(): return smaller_d()
def smaller_a(): pass
def smaller_b(): pass
def smaller_c(): pass
def smaller_d(): pass


# ---------------------------------------------------------------------------------------------

def start_short():
    done = threading.Lock()
    while True:
        done.acquire()
        _thread.start_new_thread(first_of_short, (done,))
        with done:
            pass
        time.sleep(10 * MOMENT)


def short_root(done):
    short_one()
    done.release()


first_of_short = short_root  # the self-check puts a function of its own before it


def short_one():
    for _ in range(30):
        short_two()
    short_three()


def short_two():
    short_end()


def short_end():
    for _ in range(30):
        pass


def short_three():
    short_rest()


def short_rest():
    time.sleep(MOMENT)


# ---------------------------------------------------------------------------------------------

def ask(connection):
    while True:
        (ask_left if coins["ask"]() else ask_right)(connection, lot())


def ask_left(connection, n):
    return ask_more(connection, n - 1) if n > 0 else round_trip(connection)


def ask_right(connection, n):
    return ask_less(connection, n - 1) if n > 0 else round_trip(connection)


def ask_more(connection, n):
    return ask_right(connection, n)


def ask_less(connection, n):
    return ask_left(connection, n)


def round_trip(connection):
    connection.send(b"?")
    connection.recv(1)


def answer(connection):
    while True:
        answer_one(connection)


def answer_one(connection):
    answer_inside(connection, connection.recv(1))


def answer_inside(connection, what):
    connection.send(what)


# ---------------------------------------------------------------------------------------------

def ping(mine, other):
    while True:
        ping_wait(mine)
        ping_give(other)


def ping_wait(mine):
    ping_acquire(mine)


def ping_acquire(mine):
    mine.acquire()


def ping_give(other):
    time.sleep(MOMENT)
    other.release()


def pong(mine, other):
    while True:
        pong_wait(mine)
        pong_give(other)


def pong_wait(mine):
    pong_acquire(mine)


def pong_acquire(mine):
    mine.acquire()


def pong_give(other):
    other.release()


# ---------------------------------------------------------------------------------------------

def table():
    return {"file": os.path.basename(__file__), "roots": ROOTS, "through_c": THROUGH_C,
            "pairs": {caller: callees.split() for caller, callees in TABLE.items()}}


def start_all():
    near, far = socket.socketpair()
    first, second = threading.Lock(), threading.Lock()
    second.acquire()
    sys.setrecursionlimit(4 * DEEPEST)
    sys.setswitchinterval(0.001)
    for function, arguments in ((walk_hops, ()), (dive, ()), (walk_generators, ()), (walk_callbacks, ()),
                                (walk_objects, ()), (walk_flow, ()), (start_short, ()), (ask, (near,)),
                                (answer, (far,)), (ping, (first, second)), (pong, (second, first))):
        threading.Thread(target=function, args=arguments, name=function.__name__, daemon=True).start()


def run_until_told():
    while os.read(0, 1024):
        pass


def main():
    print("TABLE", json.dumps(table()), flush=True)
    start_all()
    time.sleep(0.2)  # until every thread is beyond the functions that start it
    print("READY", os.getpid(), flush=True)
    run_until_told()
    os._exit(0)  # threads go on to the end


# ---------------------------------------------------------------------------------------------

def key_of_frame(frame):
    file, name = os.path.basename(frame.f_code.co_filename), frame.f_code.co_name
    return name if file == os.path.basename(__file__) else file + ":" + name


def self_check(most_seconds):
    """What the interpreter's own reports of calls have and the table has not, and the other way round."""
    global first_of_short
    seen = set()

    def report(frame, event, _):
        if event == "call" and frame.f_back is not None:
            seen.add((key_of_frame(frame.f_back), key_of_frame(frame)))

    def observed_short(done):
        sys.setprofile(report)
        short_root(done)

    legal = {(caller, callee) for caller, callees in table()["pairs"].items() for callee in callees}
    # Not reported: what began before the reports.
    legal_and_new = legal - {("<module>", "main"), ("main", "run_until_told"),
                             ("threading.py:_bootstrap", "threading.py:_bootstrap_inner")}
    first_of_short = observed_short
    threading.setprofile(report)
    sys.setprofile(report)
    start_all()
    end = time.monotonic() + most_seconds
    time.sleep(0.3)
    while legal_and_new - seen and time.monotonic() < end:
        time.sleep(0.1)
    sys.setprofile(None)
    # How threads begin and start others is not of the time in which profiles are made.
    of_start = {pair for pair in seen.copy() if {pair[0], pair[1]} & {"start_all", "self_check", "observed_short"} or
                pair[1].startswith(("threading.py:", "_weakrefset.py:", "socket.py:", "functools.py:"))}
    return {"not in the table": sorted(seen - legal - of_start), "never seen": sorted(legal_and_new - seen)}


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-check"]:
        found = self_check(20)
        print("SELF-CHECK", json.dumps(found), flush=True)
        os._exit(0)
    main()
