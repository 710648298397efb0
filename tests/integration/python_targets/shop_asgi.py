"""The endpoints of shop_wsgi.py as an ASGI application without a framework: gunicorn -k uvicorn.workers.UvicornWorker.

A coroutine that sleeps here blocks its event loop, as careless programs do.
"""
import os

from shop_wsgi import price_everything, wait_for_stock


async def compute_endpoint():
    price_everything()
    return str(os.getpid())


async def sleep_endpoint():
    wait_for_stock()
    return str(os.getpid())


ENDPOINTS = {"/compute": compute_endpoint, "/sleep": sleep_endpoint}


async def dispatch(path):
    return await ENDPOINTS[path]()


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    answer = (await dispatch(scope["path"])).encode()
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-length", str(len(answer)).encode())]})
    await send({"type": "http.response.body", "body": answer})
