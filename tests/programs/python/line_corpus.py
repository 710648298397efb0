"""Constructs of Python, each of which stops in a sleep after it told its own stack; for CPython 3.8 and newer.

One thread a case. Each prints a line of JSON: thread (gettid), name of the thread (null: the main thread), and frames,
leaf first: [qualified name, file, line], as the interpreter itself has them. One line says how many will come.
"""

import asyncio
import contextlib
import functools
import importlib
import json
import os
import sys
import tempfile
import threading
import time

DEEP = 1500  # more frames than a walk may have
print_lock = threading.Lock()


def tell(value):
    with print_lock:
        sys.stdout.write(json.dumps(value) + "\n")
        sys.stdout.flush()


def shown(text):
    return "".join("\ufffd" if 0xD800 <= ord(c) <= 0xDFFF else c for c in text)[:4096]


def report(frame):
    """Tells the stack that `frame` is the leaf of; how long to sleep."""
    frames = []
    while frame is not None:
        code = frame.f_code
        name = getattr(code, "co_qualname", code.co_name)
        frames.append([shown(name), shown(code.co_filename), frame.f_lineno or 0])
        frame = frame.f_back
    thread = threading.current_thread()
    name = None if thread is threading.main_thread() else shown(thread.name)
    tell({"thread": threading.get_native_id(), "name": name, "frames": frames})
    return 1000


def here(*_):
    time.sleep(report(sys._getframe()))


cases = []


def case(function):
    cases.append(function)
    return function


@case
def plain():
    x = 1
    here()
    return x


@case
def list_comprehension():
    return [
        here()
        for _ in range(3)
    ]


@case
def nested_comprehensions():
    return {a: {here() for b in
                range(2)}
            for a in range(2)}


@case
def generator_expression():
    return sum(
        here() or 0
        for _ in range(2))


@case
def lambda_over_lines():
    call = (lambda a,
            b: (a,
                here(),
                b))
    return call(
        1,
        2)


@case
def generator():
    def inner():
        yield 1
        here()
        yield 2

    def outer():
        yield 0
        yield from inner()

    for _ in outer():
        pass


@case
def coroutine():
    async def leaf():
        here()

    async def middle():
        return await leaf()

    middle().send(None)


@case
def asyncio_task():
    async def work():
        await asyncio.sleep(0)
        here()

    async def main():
        await asyncio.gather(asyncio.ensure_future(work()), asyncio.sleep(0))

    asyncio.new_event_loop().run_until_complete(main())


@case
def async_generator():
    async def numbers():
        yield 1
        here()
        yield 2

    async def main():
        async with Managed():
            return [n async for n in numbers()
                    if n]

    main().send(None)


class Managed:
    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        return None


@case
def except_block():
    try:
        raise ValueError("no")
    except ValueError:
        here()


@case
def finally_block():
    try:
        x = 1
    finally:
        here()
    return x


@case
def finally_while_raising():
    try:
        1 / 0
    except (KeyError,
            ZeroDivisionError) as error:
        try:
            raise RuntimeError from error
        finally:
            here()


@case
def with_block():
    with contextlib.suppress(KeyError), \
            contextlib.suppress(ValueError):
        here()


@case
def context_manager_exit():
    @contextlib.contextmanager
    def manager():
        yield
        here()

    with manager():
        x = 1
    return x


@case
def decorators():
    def wrap(value):
        return lambda function: function

    @wrap(1)
    @wrap(here())
    @wrap(3)
    def decorated():
        pass

    decorated()


@case
def decorated_call():
    @functools.lru_cache(maxsize=None)
    def decorated():
        return here()

    decorated()


@case
def call_over_lines():
    max(
        1,
        2,
        int(here() or
            3),
        4,
    )


@case
def chained_calls():
    class Chain:
        def step(self):
            return self

        def last(self):
            here()

    (Chain()
     .step()
     .step()
     .last())


@case
def backward_lines():
    return functools.reduce(
        lambda a, b: (
            b,
            a,
            here(
                1,
                2)),
        [1,
         2])


@case
def class_body():
    class Outer:
        x = 1

        class Inner:
            y = here()
    return Outer


@case
def default_argument():
    def function(
            a,
            b=here(),
            c=2):
        return a, b, c
    return function


@case
def nested_functions():
    def first():
        def second():
            def third():
                here()
            third()
        second()
    first()


@case
def methods():
    class Thing:
        @property
        def value(self):
            return self.compute(1)

        @classmethod
        def make(cls):
            return cls().value

        @staticmethod
        def compute(x):
            return here(x)

        def __getattr__(self, name):
            return self.make()

        def __call__(self):
            return self.missing

    Thing()()


@case
def special_methods():
    class Thing:
        def __lt__(self, other):
            return here()

        def __hash__(self):
            return 1

        def __eq__(self, other):
            return sorted([Thing(), Thing()])

    return {Thing(): 1,
            Thing(): 2}


@case
def called_by_c():
    return list(map(
        lambda x: here(x),
        [1, 2]))


@case
def sort_key():
    return sorted([3, 1, 2],
                  key=lambda x:
                  here(x))


@case
def finalizer():
    class Thing:
        def __del__(self):
            here()

    thing = Thing()
    del thing


@case
def recursion():
    def down(n):
        if n == 0:
            here()
        else:
            down(
                n - 1)

    down(60)


@case
def mutual_recursion_through_c():
    def even(n):
        return here() if n == 0 else list(map(odd, [n - 1]))

    def odd(n):
        return [even(m) for m in [n - 1]]

    even(20)


@case
def very_deep():
    def down(n):
        down(n - 1) if n else here()

    down(DEEP)


def run_source(source, name="<source>"):
    space = {"here": here}
    exec(compile(source, name, "exec"), space)
    return space


@case
def gap_of_300_lines():
    run_source("def long():\n    x = 1\n" + "\n" * 300 + "    here()\n    return x\n")["long"]()


@case
def gap_of_70000_lines():
    run_source("def long():\n    x = 1\n" + "\n" * 70000 + "    here()\n    return x\n")["long"]()


@case
def gap_backwards():
    run_source("def long():\n    return max(here(\n" + "\n" * 200 + "    1,\n" + "\n" * 700 + "    2), 3)\n")["long"]()


@case
def backwards_into_generator():
    run_source("def long():\n    return list(\n" + "\n" * 400 + "  x\n for x in [1] if [here(\n" + "\n" * 150
               + "x)])\n")["long"]()


@case
def very_long_function():
    lines = "".join(f"    a{i} = {i} + len('{'x' * (i % 40)}')\n" for i in range(3000))
    run_source("def long():\n" + lines + "    here()\n    return locals()\n")["long"]()


@case
def one_long_line():
    run_source("def long(): " + "; ".join(f"a{i} = {i}" for i in range(2000)) + "; here(); return 1\n")["long"]()


@case
def many_branches():
    source = "def long(n):\n"
    for i in range(400):
        source += f"    {'if' if i == 0 else 'elif'} n == {i}:\n        here()\n"
    run_source(source)["long"](399)


@case
def many_loops():
    run_source("def long():\n"
               "    for a in range(3):\n"
               "        while True:\n"
               "            if a == 1:\n"
               "                for b in (1, 2): here(\n"
               "                    a,\n"
               "                    b)\n"
               "            break\n")["long"]()


@case
def newer_syntax():
    if sys.version_info < (3, 10):
        return here()
    return run_source("def match_it(x):\n"
                      "    match x:\n"
                      "        case {'a': 1}:\n"
                      "            pass\n"
                      "        case [1, *rest] if (\n"
                      "                here()):\n"
                      "            return rest\n"
                      "        case _:\n"
                      "            return None\n")["match_it"]([1, 2])


@case
def format_string():
    return f"{1}{2}" \
           f"{here()}"


@case
def assert_message():
    assert False, (
        here())


@case
def chained_comparison():
    return (1
            < 2
            < (here() or 3)
            < 4)


@case
def odd_file_names():
    for name in ["a b\tc", "é", "日本語.py", "😀.py", "half \udc80\udcff.py", "\"quoted\"\\", "x" * 300]:
        function = run_source("def 名前():\n\n    here()\n", name)["名前"]
        threading.Thread(target=function, daemon=True, name="file " + name).start()
    here()


@case
def odd_function_names():
    def inner():
        here()

    for name in ["ÿ", "ж", "日本語", "😀😀", "\ud800 alone", "tab\t\"quote\"\\", "n" * 255, "n" * 256, "\u00e9" * 600,
                 "日" * 3000, "😀" * 5000]:
        names = {"co_name": name}
        if sys.version_info >= (3, 11):
            names["co_qualname"] = "in." + name
        renamed = type(inner)(inner.__code__.replace(**names), globals())
        threading.Thread(target=renamed, daemon=True, name=name).start()
    here()


@case
def first_line_far_away():
    def inner():
        here()

    code = inner.__code__.replace(co_firstlineno=5_000_000)
    type(inner)(code, globals())()


@case
def without_line_table():
    def inner():
        here()

    table = "co_linetable" if sys.version_info >= (3, 10) else "co_lnotab"
    code = inner.__code__.replace(**{table: b""})
    # Asking for the line of a frame without any is an error in some versions.
    try:
        type(inner)(code, globals())()
    except Exception:  # noqa: BLE001
        here()


@case
def imported_module():
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "corpus_module.py"), "w", encoding="utf-8") as file:
            file.write("import line_corpus_hook\n\n\nclass Body:\n    x = line_corpus_hook.here()\n")
        hook = type(sys)("line_corpus_hook")
        hook.here = here
        sys.modules["line_corpus_hook"] = hook
        sys.path.insert(0, folder)
        importlib.import_module("corpus_module")


class NamedThread(threading.Thread):
    """Attributes of its own, before and after those of Thread."""

    __slots__ = ("slot",)

    def __init__(self, target):
        self.before = 1
        self.slot = 2
        super().__init__(daemon=True, name="named in a subclass")
        self.target = target

    def run(self):
        self.target()


@case
def named_thread():
    NamedThread(here).start()
    here()


@case
def thread_with_dictionary():
    thread = NamedThread(here)
    thread.__dict__["more"] = 1
    thread.__dict__.update({f"attribute{i}": i for i in range(50)})
    thread.name = "with a dictionary"
    thread.start()
    here()


def main():
    sys.setrecursionlimit(10 * DEEP)
    threading.stack_size(64 << 20)
    counts = {"odd_file_names": 8, "odd_function_names": 12, "named_thread": 2, "thread_with_dictionary": 2}
    expected = 1
    for function in cases:
        thread = threading.Thread(target=function, daemon=True, name="case " + function.__name__)
        expected += counts.get(function.__name__, 1)
        thread.start()
    tell({"expected": expected})
    here()


if __name__ == "__main__":
    main()
