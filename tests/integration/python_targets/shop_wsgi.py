"""A Flask application whose endpoints take known times: gunicorn shop_wsgi:app, uwsgi --wsgi shop_wsgi:app.

/compute    SHOP_CPU_MS (5) milliseconds of CPU time in price_everything
/sleep      SHOP_SLEEP_MS (10) milliseconds in wait_for_stock
/both       both
            Each answers with the number of its process.
/account    as JSON, since it was asked for last: seconds in wait_for_stock, and `stall`, the longest time for which a
            thread of this process that only wants to go on did not
"""
import os
import threading
import time

import flask

CPU = float(os.environ.get("SHOP_CPU_MS", "5")) / 1000
SLEEP = float(os.environ.get("SHOP_SLEEP_MS", "10")) / 1000

app = flask.Flask(__name__)
longest, slept = [0.0], []
beating = threading.Lock()


@app.route("/compute")
def compute_endpoint():
    price_everything()
    return str(os.getpid())


@app.route("/sleep")
def sleep_endpoint():
    wait_for_stock()
    return str(os.getpid())


@app.route("/both")
def both_endpoint():
    wait_for_stock()
    price_everything()
    return str(os.getpid())


@app.route("/account")
def account_endpoint():
    if beating.acquire(blocking=False):  # the first to ask starts it
        threading.Thread(target=beat, name="heartbeat", daemon=True).start()
    account = {"stall": longest[0], "slept": sum(slept), "times": len(slept)}
    longest[0] = 0.0
    slept.clear()
    return account


def price_everything():
    begin = time.thread_time()
    prices = 0
    while time.thread_time() - begin < CPU:
        prices += one_price()
    return prices


def one_price():
    return len(str(2 ** 60))


def wait_for_stock():
    begin = time.monotonic()
    time.sleep(SLEEP)
    slept.append(time.monotonic() - begin)


def beat():
    while True:
        begin = time.monotonic()
        time.sleep(0.002)
        longest[0] = max(longest[0], time.monotonic() - begin)
